"""What load balancers say of each request, in sums: HAProxy sends a line to a socket, as it would to syslog."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chaosctl.lab.processes import name_this_thread

log = logging.getLogger(__name__)

BUFFER = 4 * 1024 * 1024  # bytes: lines that wait while this process is busy; what does not fit is lost
NO_SERVER = "<NOSRV>"
UNCONNECTED = {"SC", "sC"}  # as HAProxy tells it: the target refused the connection, or it took too long
PRECISION = 3  # digits of a response time: enough for percentiles, and few different values


@dataclass(frozen=True)
class Request:
    """One request. `group` is the id of its target group, empty when none was chosen.

    status    what the client got; 0 when it went away before
    target    whether a target was chosen
    refused   whether no connection to it came about
    seconds   from the request's leaving to the target's answer; None when no target answered
    """

    balancer: str
    group: str
    status: int
    target: bool
    seconds: float | None
    refused: bool = False


@dataclass
class Sums:
    """Requests of one load balancer to one target group (or to none) in one minute."""

    requests: int = 0
    connection_errors: int = 0
    target_statuses: Counter[int] = field(default_factory=Counter)
    balancer_statuses: Counter[int] = field(default_factory=Counter)
    seconds: Counter[float] = field(default_factory=Counter)

    def add(self, request: Request) -> None:
        """One more."""
        self.requests += request.target
        if request.seconds is not None:
            self.target_statuses[request.status] += 1
            self.seconds[float(f"{request.seconds:.{PRECISION}g}")] += 1
        elif request.status:
            self.balancer_statuses[request.status] += 1
        self.connection_errors += request.refused


Key = tuple[int, str, str]  # minute (seconds since the epoch), load balancer, target group


def parse(line: str) -> Request | None:
    """A line as lab/templates/load_balancer.cfg.j2 has it written; None for any other."""
    words = line.split()
    if len(words) != 6 or not words[4].lstrip("-").isdigit() or not words[3].lstrip("-").isdigit():
        return None
    balancer, backend, server, status, milliseconds, ended = words
    answered = int(milliseconds) >= 0 and server != NO_SERVER
    return Request(
        balancer=balancer,
        group=backend.removeprefix("tg-") if backend.startswith("tg-") else "",
        status=max(0, int(status)),
        target=server != NO_SERVER,
        seconds=int(milliseconds) / 1000 if answered else None,
        refused=server != NO_SERVER and ended in UNCONNECTED,
    )


class AccessLog:
    """Listens on a socket and sums up. Safe from any thread."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._sums: dict[Key, Sums] = {}

    def start(self) -> None:
        """Take the place of an earlier listener, and listen on a thread."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        receiver.bind(str(self._path))
        self._path.chmod(0o600)
        threading.Thread(target=self._listen, args=(receiver,), name="access log", daemon=True).start()

    def _listen(self, receiver: socket.socket) -> None:
        name_this_thread("access log")
        while True:
            self.take(receiver.recv(4096).decode(errors="replace"))

    def take(self, line: str) -> None:
        """Count the request of one line."""
        request = parse(line)
        if request is not None:
            minute = int(self._clock()) // 60 * 60
            with self._lock:
                self._sums.setdefault((minute, request.balancer, request.group), Sums()).add(request)

    def drain(self) -> dict[Key, Sums]:
        """What has been summed up since the last time."""
        with self._lock:
            drained, self._sums = self._sums, {}
        return drained
