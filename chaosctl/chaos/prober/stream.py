"""One schedule of requests to one place, and the account of what became of each."""

from __future__ import annotations

import selectors
import ssl
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import SplitResult

from chaosctl.chaos import requests as r
from chaosctl.chaos.prober import http1
from chaosctl.chaos.prober.connection import Connection, Job, why
from chaosctl.chaos.prober.resolver import Fixed, Resolver

LINGER = 50_000  # microseconds that the server is given to close a connection first, as it was asked to

Record = tuple[str, int, int, int, int, str, int]  # the fields of requests.Request


def now_us() -> int:
    """Microseconds of CLOCK_MONOTONIC."""
    return time.monotonic_ns() // 1000


class Stream:
    """`rate` requests a second, each on a new connection (`pool` 0), or on one of a pool of open ones.

    capacity  requests that may be in flight; one more is not sent, and says so
    """

    def __init__(
        self,
        name: str,
        url: SplitResult,
        selector: selectors.BaseSelector,
        *,
        rate: float,
        timeout: float,
        pool: int,
        check: Callable[[bytes], bool],
        resolver: Fixed | Resolver,
        tls: tuple[ssl.SSLContext, str] | None,
        capacity: int,
    ) -> None:
        self.name = name
        self.records: list[Record] = []
        self.in_flight = 0
        self.start = 0  # microseconds: intended time of the first request
        self._message = http1.request(url, keep_alive=pool > 0)
        self._period = 1_000_000 / rate
        self._timeout = int(timeout * 1_000_000)
        self._selector, self._check, self._resolver, self._tls = selector, check, resolver, tls
        self._pool, self._capacity = pool, capacity
        self._scheduled = 0
        self._counts = {r.OK: 0, r.TIMED_OUT: 0, r.UNSENT: 0}
        self._bad = 0
        self._jobs: deque[Job] = deque()  # in the order of their intended times
        self._idle: deque[Connection] = deque()
        self._lingering: deque[tuple[int, Connection]] = deque()

    def due(self) -> int:
        """When the next request is to leave, in microseconds."""
        return self.start + round(self._scheduled * self._period)

    def launch(self, now: int) -> None:
        """Send everything that is due, late or not."""
        due = self.due()
        while due <= now:
            job = Job(self._scheduled, due, now_us() - due)
            self._scheduled += 1
            self._launch(job)
            due = self.due()

    def sweep(self, now: int) -> None:
        """End what is over time: requests, and connections that the server should have closed."""
        jobs, limit = self._jobs, now - self._timeout
        while jobs and (jobs[0].done or jobs[0].intended <= limit):
            job = jobs.popleft()
            if not job.done:
                self._time_out(job)
        while self._lingering and self._lingering[0][0] <= now:
            self._lingering.popleft()[1].close_after_server()

    def oldest(self) -> int | None:
        """When the oldest request that is in flight was to be sent, in microseconds."""
        return next((job.intended for job in self._jobs if not job.done), None)

    def _time_out(self, job: Job) -> None:
        connection = job.connection
        if connection is not None:
            connection.job = None
            connection.close(abort=True)
        self._finish(job, r.TIMED_OUT, 0)

    def _launch(self, job: Job) -> None:
        self.in_flight += 1
        self._jobs.append(job)
        if self.in_flight > self._capacity:
            self._finish(job, r.UNSENT, 0)
            return
        connection = self._from_pool() if self._pool else None
        if connection is not None:
            connection.send(job, self._message)
        else:
            self._connect(job)

    def _connect(self, job: Job) -> None:
        address = self._resolver.pick()
        if address is None:
            self._finish(job, r.DNS, 0)
            return
        try:
            connection = Connection(self, self._selector, address, self._tls)
        except OSError as error:
            self._finish(job, why(error), 0)
            return
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            self._finish(job, why(error), 0)
            return
        connection.send(job, self._message)

    def _from_pool(self) -> Connection | None:
        """The one that waited longest, so that all are used; those to addresses that are gone are closed."""
        while self._idle:
            connection = self._idle.popleft()
            if connection.open and connection.address in self._resolver.addresses:
                return connection
            connection.close()
        return None

    def judge(self, response: http1.Response) -> str:
        """The outcome of a whole response."""
        if not 200 <= response.status < 300:
            return r.STATUS
        return r.OK if self._check(response.body) else r.BODY

    def ended(self, connection: Connection, job: Job, outcome: str) -> None:
        """A request ended on this connection, which goes into the pool, or waits for the server to close it."""
        response = connection.response
        self._finish(job, outcome, response.status)
        if not connection.open:
            return
        if not self._pool:
            connection.rest()
            self._lingering.append((now_us() + LINGER, connection))
        elif response.reusable and len(self._idle) < self._pool:
            self._idle.append(connection)
        else:
            connection.close(abort=True)

    def _finish(self, job: Job, outcome: str, status: int) -> None:
        job.done = True
        self.in_flight -= 1
        if outcome in self._counts:
            self._counts[outcome] += 1
        else:
            self._bad += 1
        latency = now_us() - job.intended
        self.records.append((self.name, job.number, job.intended, latency, job.lag, outcome, status))

    def close(self) -> None:
        """Close every connection."""
        for connection in [*self._idle, *(lingering for _, lingering in self._lingering)]:
            connection.close_after_server()

    def totals(self) -> r.Totals:
        """The account of this stream."""
        counts = self._counts
        return r.Totals(self._scheduled, counts[r.OK], self._bad, counts[r.TIMED_OUT], counts[r.UNSENT])
