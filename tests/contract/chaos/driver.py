"""Drives the faulty server and collects what the prober tells; shared by the tests and benchmarks/ground_truth.py."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from chaosctl.adapters.process import Child
from chaosctl.chaos import events as e
from chaosctl.chaos import outage
from chaosctl.chaos.outage import Outage
from chaosctl.chaos.requests import Request


class FaultyServer:
    """The server's process."""

    def __init__(self, *arguments: str) -> None:
        self.child = Child([sys.executable, "-m", "tests.contract.chaos.faulty_server", *arguments])
        self._lines = self.child.lines()
        self.port = int(next(self._lines))

    def become(self, mode: str) -> float:
        """Behave like that; returns the moment, in seconds of CLOCK_MONOTONIC."""
        self.child.write(mode)
        return float(next(self._lines))

    def close(self) -> None:
        self.child.end(2)
        assert list(self._lines) == []

    def fail(self, mode: str, seconds: float) -> tuple[float, float]:
        """An outage of that length; returns its true beginning and end."""
        begin = self.become(mode)
        time.sleep(max(0.0, begin + seconds - time.monotonic()))
        return begin, self.become("ok")


@contextmanager
def faulty_server(*arguments: str) -> Iterator[FaultyServer]:
    server = FaultyServer(*arguments)
    try:
        yield server
    finally:
        server.close()


class Heard:
    """What the prober told."""

    def __init__(self) -> None:
        self.events: list[e.ChaosEvent] = []
        self._news = threading.Condition()

    def tell(self, event: e.ChaosEvent) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def wait_for(self, kind: type[e.ChaosEvent], seconds: float = 10) -> None:
        with self._news:
            found = self._news.wait_for(lambda: any(isinstance(x, kind) for x in self.events), seconds)
        assert found, f"no {kind.__name__} in {seconds} s"

    def requests(self, stream: str) -> list[Request]:
        return [r for x in self.events if isinstance(x, e.RequestsSeen) for r in x.requests if r.stream == stream]

    def outages(self, stream: str, rate: float) -> tuple[Outage, ...]:
        return outage.outages(self.requests(stream), 1 / rate)

    def one(self, kind: type[e.ChaosEvent]) -> e.ChaosEvent:
        (event,) = [x for x in self.events if isinstance(x, kind)]
        return event
