"""One stream of requests while they end, each looked at once: is a budget spent already? Pure.

At the end `outage` says it again from all requests; this one is for whoever must not wait until then.
"""

from __future__ import annotations

from chaosctl.chaos.requests import Request


class Tally:
    """Feed it every request that ends, in any order, and what is still in flight. `period` is that of the schedule.

    known  all requests with smaller numbers have ended
    sent   requests that ended since the injection; `bad` are those that failed, `slow` good ones that took too `long`
    """

    def __init__(self, period: float, long: float) -> None:
        self.known = self.sent = self.bad = self.slow = 0
        self._long = long * 1e6
        self._period = period * 1e6
        self._early: dict[int, Request] = {}  # ended before one that was sent earlier
        self._injected = float("inf")  # microseconds, as all that follow
        self._down = Down()
        self._good_until = 0  # when a good answer last came
        self._waiting: tuple[int, int] | None = None

    def inject(self, at: float) -> None:
        """What ends from now on may be the fault's work."""
        self._injected = at * 1e6

    def add(self, request: Request) -> None:
        """It ended."""
        end = request.intended + request.latency
        if request.ok:
            self._good_until = max(self._good_until, end)
        if end >= self._injected:
            self.sent += 1
            self.bad += not request.ok
            self.slow += request.ok and request.latency > self._long
        self._early[request.number] = request
        while self.known in self._early:
            self._fold(self._early.pop(self.known), self._down)
            self.known += 1

    def wait(self, waiting: tuple[int, int] | None) -> None:
        """When the oldest request in flight was to be sent, and when that was so; None when it is a young one."""
        self._waiting = waiting

    def downtime(self) -> float:
        """Seconds of downtime since the injection, by requests that have ended."""
        return self._so_far().seconds(self._period)

    def provisional(self) -> float:
        """The same, if nothing that is in flight will be answered: no good answer has come since."""
        if self._waiting is None or self._waiting[1] < self._injected:
            return 0.0
        down, (oldest, now) = self._so_far(), self._waiting
        begin = max(oldest if down.begin is None else min(oldest, down.begin), self._good_until)
        return max(down.seconds(self._period), (down.closed + max(0, now - begin)) / 1e6)

    def _so_far(self) -> Down:
        """With those that ended before an earlier one: as many as fit into a timeout."""
        down = Down(self._down.closed, self._down.begin, self._down.last)
        for number in sorted(self._early):
            self._fold(self._early[number], down)
        return down

    def _fold(self, request: Request, down: Down) -> None:
        if request.intended + request.latency >= self._injected:
            down.add(request)


class Down:
    """Downtime of requests in their order. Microseconds: of outages that are over, and since when one lasts."""

    def __init__(self, closed: int = 0, begin: int | None = None, last: int = 0) -> None:
        self.closed, self.begin, self.last = closed, begin, last

    def add(self, request: Request) -> None:
        """The next one."""
        self.last = request.intended
        if not request.ok:
            self.begin = request.intended if self.begin is None else self.begin
        elif self.begin is not None:
            self.closed += request.intended - self.begin
            self.begin = None

    def seconds(self, period: float) -> float:
        """All of it; an outage that lasts still ends a period after its last request."""
        lasting = 0.0 if self.begin is None else self.last + period - self.begin
        return (self.closed + lasting) / 1e6
