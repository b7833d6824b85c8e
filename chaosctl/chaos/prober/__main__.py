"""The prober's process: `python -m chaosctl.chaos.prober`.

Its first line of stdin is a TrafficPlan as JSON; anything after it, and the end of stdin, means stop: a prober never
outlives its parent. It writes JSON lines to stdout: {"hello": ...} when the schedule begins, {"requests": [...],
"waiting": {...}} ten times a second, {"learnt": [...]} once when no keys were given, at last {"end": ...}; or only
{"refused": ...}.

Requests leave on a fixed schedule whatever the earlier ones do; latency counts from the intended send time; nothing is
tried twice. A selector and bare sockets cost half of what an event loop with tasks costs (benchmarks/prober.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import resource
import selectors
import ssl
from typing import Any
from urllib.parse import urlsplit

import msgspec

from chaosctl.chaos import requests as r
from chaosctl.chaos.prober.body import BodyCheck
from chaosctl.chaos.prober.control import KEYS, ControlServer
from chaosctl.chaos.prober.priority import come_first
from chaosctl.chaos.prober.remote import REMOTE_RATE, AnyAnswer, any_certificate
from chaosctl.chaos.prober.resolver import Fixed, resolver
from chaosctl.chaos.prober.stream import Stream, now_us

FLUSH = 100_000  # microseconds between two batches of results
YOUNG = 250_000  # microseconds that a request may be in flight without being spoken of
DRAIN_STEP = 0.005  # seconds between two looks for overdue requests at the end
CONTROL_RATE = 5.0  # requests a second
LEAD = 20_000  # microseconds from being ready to the first request
SPARE_FILES = 128  # descriptors that are not for requests
PIPE_BYTES = 1 << 20  # a parent that is slow for seconds must not hold the prober up


class Output:
    """JSON lines to stdout that never block: what the pipe does not take waits here."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting = b""
        os.set_blocking(fd, False)
        with contextlib.suppress(OSError, AttributeError):  # Linux only
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def write(self, message: dict[str, Any]) -> None:
        """Add a line and pass on what the pipe takes. Raises BrokenPipeError when nobody reads any more."""
        self._waiting += msgspec.json.encode(message) + b"\n"
        with contextlib.suppress(BlockingIOError):
            self._waiting = self._waiting[os.write(self._fd, self._waiting) :]

    def finish(self) -> None:
        """Wait until everything is out."""
        os.set_blocking(self._fd, True)
        while self._waiting:
            self._waiting = self._waiting[os.write(self._fd, self._waiting) :]


class Commands:
    """stdin after the plan."""

    def __init__(self) -> None:
        self.stop = False

    def ready(self) -> None:
        """A command, or the parent is gone: both mean stop."""
        os.read(0, 4096)
        self.stop = True


class Prober:
    """Runs the streams until it is told to stop, then waits until nothing is in flight."""

    def __init__(self, plan: dict[str, Any], output: Output, capacity: int) -> None:
        self._output = output
        self._selector = selectors.DefaultSelector()
        self._commands = Commands()
        self._selector.register(0, selectors.EVENT_READ, self._commands)
        self._control = ControlServer(self._selector)
        self._streams = [*self._service(plan, capacity // 2), self._control_stream(plan["timeout"])]
        if plan["control"]:
            self._streams.append(self._remote_stream(plan["control"], plan["timeout"]))
        self._flushed = 0
        self._began = 0
        self._cpu = 0.0

    def _service(self, plan: dict[str, Any], capacity: int) -> list[Stream]:
        url = urlsplit(plan["url"])
        host = url.hostname or ""
        tls = (_trust(plan["ca_file"]), host) if url.scheme == "https" else None
        where = resolver(host, url.port or (443 if tls else 80), plan["timeout"])
        keys = plan["expected_keys"]
        check = BodyCheck(None if keys is None else tuple(keys), lambda keys: self._output.write({"learnt": keys}))
        return [
            Stream(
                name,
                url,
                self._selector,
                rate=plan["rate"],
                timeout=plan["timeout"],
                pool=pool,
                check=check,
                resolver=where,
                tls=tls,
                capacity=capacity,
            )
            for name, pool in ((r.NEW, 0), (r.REUSED, plan["pool"]))
        ]

    def _control_stream(self, timeout: float) -> Stream:
        return Stream(
            r.CONTROL,
            urlsplit(f"http://127.0.0.1:{self._control.port}/"),
            self._selector,
            rate=CONTROL_RATE,
            timeout=timeout,
            pool=0,
            check=BodyCheck(KEYS, lambda _: None),
            resolver=Fixed("127.0.0.1", self._control.port),
            tls=None,
            capacity=SPARE_FILES // 4,
        )

    def _remote_stream(self, control: str, timeout: float) -> Stream:
        """A new connection each time, by name: that needs all that the service's requests need of this machine."""
        url = urlsplit(control)
        host = url.hostname or ""
        tls = (any_certificate(), host) if url.scheme == "https" else None
        return AnyAnswer(
            r.REMOTE,
            url,
            self._selector,
            rate=REMOTE_RATE,
            timeout=timeout,
            pool=0,
            check=lambda _: True,
            resolver=resolver(host, url.port or (443 if tls else 80), timeout),
            tls=tls,
            capacity=SPARE_FILES // 4,
        )

    def run(self) -> None:
        """From the first request to the last answer."""
        gc.collect()
        gc.freeze()  # what lives now lives to the end: no collection looks at it again
        self._began = now_us() + LEAD
        self._cpu = _cpu_seconds()
        for stream in self._streams:  # all begin together: requests that leave together share one wake-up
            stream.start = self._began
        self._output.write({"hello": {"start": self._began}})
        while not self._commands.stop:
            self._turn()
        self._drain()
        self._end()

    def _turn(self) -> None:
        """Events first, so that a connection known to be closed is not used; then what is due."""
        wait = min(stream.due() for stream in self._streams) - now_us()
        self._handle(max(wait, 0) / 1e6)
        now = now_us()
        for stream in self._streams:
            stream.launch(now)
            stream.sweep(now)
        if now - self._flushed >= FLUSH:
            self._flush(now)

    def _handle(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            key.data.ready()

    def _flush(self, now: int) -> None:
        self._flushed = now
        records = [record for stream in self._streams for record in stream.records]
        for stream in self._streams:
            stream.records.clear()
        oldest = {stream.name: stream.oldest() for stream in self._streams}
        waiting = {name: (at, now) for name, at in oldest.items() if at is not None and now - at > YOUNG}
        self._output.write({"requests": records, "waiting": waiting})

    def _drain(self) -> None:
        """Every request ends by itself: answered, failed or timed out."""
        self._selector.unregister(0)
        while any(stream.in_flight for stream in self._streams):
            self._handle(DRAIN_STEP)
            for stream in self._streams:
                stream.sweep(now_us())
        for stream in self._streams:
            stream.close()
        self._control.close()

    def _end(self) -> None:
        now = now_us()
        self._flush(now)
        self._output.write(
            {
                "end": {
                    "totals": {stream.name: tuple(stream.totals()) for stream in self._streams},
                    "in_flight": sum(stream.in_flight for stream in self._streams),
                    "cpu_seconds": _cpu_seconds() - self._cpu,
                    "seconds": (now - self._began) / 1e6,
                }
            }
        )


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _trust(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def _capacity() -> int:
    """How many connections may be open: the limit on descriptors, raised as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return min(soft, 65_536) - SPARE_FILES


def _read_plan() -> dict[str, Any]:
    """The first line of stdin, byte by byte: what follows is a command."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            raise EOFError("no plan on stdin")
        line += byte
    plan: dict[str, Any] = json.loads(line)
    return plan


def main() -> None:
    """Read the plan and carry it out, or refuse a rate whose time-outs alone need more descriptors than there are."""
    plan = _read_plan()
    output = Output(1)
    capacity = _capacity()
    needed = int(2 * plan["rate"] * plan["timeout"]) + 2 * plan["pool"]
    come_first()
    if needed > capacity:
        output.write({"refused": {"needed": needed, "capacity": capacity}})
    else:
        Prober(plan, output, capacity).run()
    output.finish()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        main()
