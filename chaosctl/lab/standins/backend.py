"""The lab's stand-in for the chaotic backend: the same routes and the same wandering, from the standard library alone.

    /              JSON banner              {"service", "status", "version", "message", "instance", "uptime_seconds"}
    /health/live   is a restart needed?     {"status": "alive"}
    /health/ready  may traffic come?        {"status": "ready"}
    /probe/data    mock user data           {"users": [{"id", "name", "email"}, ...], "count"}

All four answer 503 while it starts, 200 while it runs and 500 once it has crashed: the process stays, and only a
restart of its container helps. SIGUSR1 crashes it now. SIGTERM ends it once the requests that it has are answered.

Environment:
    CHAOTIC_COLD_START_SECONDS  shortest and longest cold start, evenly distributed: "0.5,3.0"
    CHAOTIC_CRASHES_PER_HOUR    how often a running one crashes, on average: "0" is never
    CHAOTIC_SEED                makes cold start and crash repeatable per host name (in Kubernetes: per pod)
    CHAOTIC_BAD_ANSWERS         how many per cent of the answers of / and /probe/data are 500 while it runs, and how
                                many seconds each takes: "0,0"; probes are answered well and at once
    CHAOTIC_KEEP_ALIVE_RACES    how many per cent of the requests on a kept connection meet its end on their way, as
                                with an app whose idle time-out is shorter than the load balancer's: "0". On one
                                machine that race takes microseconds, so chance decides it
    CHAOTIC_DRAIN_SECONDS       how long it finishes what it has after SIGTERM: "10"; "0" ends it at once
    CHAOTIC_ALIVE_AT_ONCE       "1": /health/live answers 200 while it starts, as of a process that merely exists
    PORT                        where it listens: "3000"
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

State = Literal["starting", "running", "crashed"]

STATUS: Mapping[State, int] = {"starting": 503, "running": 200, "crashed": 500}
REASONS = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
    503: "Service Unavailable",
}  # fmt: skip
WORK = ("/", "/probe/data")
ALIVE = "/health/live"
USERS = (
    {"id": 1, "name": "Ada Lovelace", "email": "ada@example.org"},
    {"id": 2, "name": "Grace Hopper", "email": "grace@example.org"},
    {"id": 3, "name": "Edsger Dijkstra", "email": "edsger@example.org"},
)

# Longer than a load balancer keeps an idle connection (60 s at an ALB): the side that opened it must close it first,
# or a request meets a connection that is just being closed and fails.
IDLE_SECONDS = 75.0
DRAIN_SECONDS = 1.0  # after SIGTERM an idle connection is kept this long: a request may be on its way
MAX_HEADER = 64 * 1024  # what an ALB lets through
MAX_BODY = 1024 * 1024


@dataclass(frozen=True)
class Moods:
    """When it will do what, in seconds after its start; `crashes_at` is infinite when it never does."""

    runs_at: float
    crashes_at: float

    def state(self, age: float) -> State:
        """What it is at `age` seconds."""
        if age < self.runs_at:
            return "starting"
        return "running" if age < self.crashes_at else "crashed"

    @classmethod
    def drawn(cls, environment: Mapping[str, str], hostname: str) -> Moods:
        """From the variables above. Raises ValueError that names the one that is wrong."""
        shortest, longest = _cold_start(environment.get("CHAOTIC_COLD_START_SECONDS") or "0.5,3.0")
        rate = _rate(environment.get("CHAOTIC_CRASHES_PER_HOUR") or "0")
        seed = environment.get("CHAOTIC_SEED")
        dice = random.Random(f"{seed}/{hostname}" if seed else None)  # noqa: S311 - not a secret
        runs_at = dice.uniform(shortest, longest)
        return cls(runs_at, runs_at + dice.expovariate(rate / 3600) if rate else float("inf"))


def _cold_start(text: str) -> tuple[float, float]:
    try:
        shortest, longest = (float(part) for part in text.split(","))
    except ValueError:
        shortest, longest = -1.0, -1.0
    if not 0 <= shortest <= longest < float("inf"):
        raise ValueError(
            f"CHAOTIC_COLD_START_SECONDS={text}: give the shortest and the longest in seconds, as in 0.5,3.0"
        )
    return shortest, longest


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate < float("inf"):
        raise ValueError(f"CHAOTIC_CRASHES_PER_HOUR={text}: give a number from 0 up")
    return rate


@dataclass(frozen=True)
class BadAnswers:
    """How many per cent of the answers to users are errors, and how many seconds each takes."""

    percent: float = 0.0
    seconds: float = 0.0

    @classmethod
    def told(cls, environment: Mapping[str, str]) -> BadAnswers:
        """From the variable above. Raises ValueError that names it."""
        text = environment.get("CHAOTIC_BAD_ANSWERS") or "0,0"
        try:
            percent, seconds = (float(part) for part in text.split(","))
        except ValueError:
            percent = seconds = -1.0
        if not (0 <= percent <= 100 and 0 <= seconds < float("inf")):
            raise ValueError(f"CHAOTIC_BAD_ANSWERS={text}: give per cent and seconds, as in 50,0.2")
        return cls(percent, seconds)


@dataclass(frozen=True)
class Habits:
    """How it treats connections and probes; what is not as by default is a misconfiguration to be found."""

    races: float = 0.0
    drain: float = 10 * DRAIN_SECONDS
    alive_at_once: bool = False

    @classmethod
    def told(cls, environment: Mapping[str, str]) -> Habits:
        """From the variables above. Raises ValueError that names the one that is wrong."""
        races = _number(environment, "CHAOTIC_KEEP_ALIVE_RACES", cls.races)
        drain = _number(environment, "CHAOTIC_DRAIN_SECONDS", cls.drain)
        return cls(races, drain, environment.get("CHAOTIC_ALIVE_AT_ONCE") == "1")


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or f"{default:g}"
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name}={text}: give a number from 0 up")
    return number


class Backend:
    """The application behind the HTTP: answers by path and state."""

    def __init__(
        self,
        moods: Moods,
        hostname: str,
        clock: Callable[[], float] = time.monotonic,
        bad: BadAnswers | None = None,
        habits: Habits | None = None,
    ) -> None:
        self._moods = moods
        self.habits = habits or Habits()
        self._bad = bad or BadAnswers()
        self._hostname = hostname
        self._clock = clock
        self._started = clock()
        self._said: State | None = None
        self._routes: Mapping[str, Callable[[], object]] = {
            "/": self._banner,
            ALIVE: lambda: {"status": "alive", "state": "running"},
            "/health/ready": lambda: {"status": "ready", "state": "running"},
            "/probe/data": lambda: {"users": USERS, "count": len(USERS)},
        }

    @property
    def age(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    @property
    def state(self) -> State:
        """What it is now; a change is logged."""
        state = self._moods.state(self.age)
        if state != self._said:
            self._said = state
            log(f"the backend is {state}", level="error" if state == "crashed" else "info", state=state)
        return state

    def crash(self) -> None:
        """Crash now."""
        self._moods = Moods(0.0, 0.0)

    def answer(self, path: str) -> tuple[int, bytes]:
        """HTTP status and JSON body."""
        route = self._routes.get(path)
        if route is None:
            return 404, _json({"error": "not found", "path": path})
        state = self.state
        if state != "running" and not (state == "starting" and path == ALIVE and self.habits.alive_at_once):
            return STATUS[state], _json({"status": state, "error": f"the backend is {state}"})
        if path in WORK and random.random() < self._bad.percent / 100:  # noqa: S311 - not a secret
            return 500, _json({"status": state, "error": "a wrong answer"})
        return 200, _json(route())

    def delay(self, path: str) -> float:
        """Seconds until the answer may leave."""
        return self._bad.seconds if path in WORK else 0.0

    def races(self) -> bool:
        """Whether this request on a kept connection comes too late."""
        return random.random() < self.habits.races / 100  # noqa: S311 - not a secret

    def _banner(self) -> object:
        return {
            "service": "chaotic-backend",
            "status": "running",
            "version": "stand-in",
            "message": "chaosctl's stand-in for lucasscrt/chaotic-backend",
            "instance": self._hostname,
            "uptime_seconds": round(self.age, 1),
        }


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def log(message: str, **fields: object) -> None:
    """One JSON line on stdout."""
    now = time.time()
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"
    sys.stdout.write(json.dumps({"time": stamp, "message": message, **fields}) + "\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Request:
    """The head of a request. `length` is that of the body, which nothing here reads."""

    method: str
    path: str
    keep_alive: bool
    length: int


class BadRequest(Exception):
    """The client gets this status, and the connection is closed: nobody knows where the next request begins."""

    def __init__(self, status: int) -> None:
        super().__init__(REASONS[status])
        self.status = status


def parse_head(head: bytes) -> Request:
    """Request line and headers, without the empty line. Raises BadRequest."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[1].startswith(("/", "http://", "*")):
        raise BadRequest(400)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            raise BadRequest(400)
        headers[name.lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise BadRequest(501)
    connection = headers.get("connection", "").lower()
    keep_alive = "close" not in connection if words[2] == "HTTP/1.1" else "keep-alive" in connection
    return Request(words[0], words[1].partition("?")[0], keep_alive, _length(headers.get("content-length", "0")))


def _length(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise BadRequest(400)
    length = int(text)
    if length > MAX_BODY:
        raise BadRequest(413)
    return length


def response(status: int, body: bytes, *, keep_alive: bool, with_body: bool = True) -> bytes:
    """A whole HTTP/1.1 response."""
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\n"
        "Server: chaosctl-stand-in\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n"
        + ("Allow: GET, HEAD\r\n" if status == 405 else "")
        + "\r\n"
    ).encode()
    return head + body if with_body else head


class Connection(asyncio.Protocol):
    """One client's connection: requests in, answers out, in order."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._skip = 0  # bytes of a body still to come
        self._transport: asyncio.Transport | None = None
        self._kept = False  # it has had an answer already
        self.active_at = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio: answer every request that is complete."""
        self.active_at = time.monotonic()
        if self._kept and not self._buffer and self._server.backend.races():
            self.close()
            return
        self._buffer += data
        try:
            while self._transport is not None and self._answer_next():
                pass
        except BadRequest as error:
            self._send(error.status, _json({"error": str(error)}), keep_alive=False)

    def close(self) -> None:
        """Close once what was written has been sent."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _answer_next(self) -> bool:
        skipped = min(self._skip, len(self._buffer))
        self._buffer, self._skip = self._buffer[skipped:], self._skip - skipped
        end = self._buffer.find(b"\r\n\r\n")
        if len(self._buffer if end < 0 else self._buffer[:end]) > MAX_HEADER:
            raise BadRequest(431)
        if end < 0 or self._skip:
            return False
        request = parse_head(self._buffer[:end])
        self._buffer, self._skip = self._buffer[end + 4 :], request.length
        self._respond(request)
        return True

    def _respond(self, request: Request) -> None:
        keep_alive = request.keep_alive and not self._server.draining
        if request.method not in ("GET", "HEAD"):
            self._send(405, _json({"error": "only GET and HEAD"}), keep_alive=keep_alive)
            return
        status, body = self._server.backend.answer(request.path)
        send = partial(self._send, status, body, keep_alive=keep_alive, with_body=request.method == "GET")
        if delay := self._server.backend.delay(request.path):
            asyncio.get_running_loop().call_later(delay, send)
        else:
            send()

    def _send(self, status: int, body: bytes, *, keep_alive: bool, with_body: bool = True) -> None:
        if self._transport is None:
            return
        self._transport.write(response(status, body, keep_alive=keep_alive, with_body=with_body))
        self._kept = True
        if not keep_alive:
            self.close()


class Server:
    """Listens, closes what is idle, and ends in order."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.connections: set[Connection] = set()
        self.draining = False
        self._listener: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Accept connections from now on; returns the port."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def run_until(self, ended: asyncio.Event) -> None:
        """Serve until `ended`, then answer what is on its way and close everything."""
        while not ended.is_set():
            try:
                await asyncio.wait_for(ended.wait(), 1.0)
            except TimeoutError:
                self._close_idle(IDLE_SECONDS)
                _ = self.backend.state  # so that a crash is logged when it comes, not when somebody asks
        await self._drain()

    async def _drain(self) -> None:
        self.draining = True
        if self._listener is not None:
            self._listener.close()
        deadline = time.monotonic() + self.backend.habits.drain
        while self.connections and time.monotonic() < deadline:
            self._close_idle(DRAIN_SECONDS)
            await asyncio.sleep(0.05)

    def _close_idle(self, seconds: float) -> None:
        limit = time.monotonic() - seconds
        for connection in [c for c in self.connections if c.active_at < limit]:
            connection.close()


async def serve(environment: Mapping[str, str], hostname: str) -> None:
    """Be the backend until SIGTERM or SIGINT."""
    moods = Moods.drawn(environment, hostname)
    server = Server(Backend(moods, hostname, bad=BadAnswers.told(environment), habits=Habits.told(environment)))
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGUSR1, server.backend.crash)
    port = await server.listen("0.0.0.0", int(environment.get("PORT") or "3000"))  # noqa: S104 - a pod's own network
    log("stand-in for lucasscrt/chaotic-backend", port=port, cold_start_seconds=round(moods.runs_at, 2))
    await server.run_until(ended)
    log("the backend ends")


def main() -> int:
    """Entry point of the image."""
    try:
        asyncio.run(serve(os.environ, os.uname().nodename))
    except ValueError as error:
        log(str(error), level="error")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
