"""The parent's end of the prober: starts its process, turns what it writes into events, stops it."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

import msgspec

from chaosctl.adapters.process import Child
from chaosctl.chaos import events as e
from chaosctl.chaos.experiment import TrafficPlan
from chaosctl.chaos.requests import Request
from chaosctl.errors import PreconditionFailed

START_SECONDS = 20.0  # for Python to start and the name to be looked up
END_SECONDS = 5.0  # beyond the requests' own timeout


class Traffic(Protocol):
    """Traffic that is under way. It tells RequestsSeen, and at the end either TrafficEnded or TrafficLost."""

    def stop(self) -> None:
        """Send nothing more, wait until nothing is in flight, and tell how it ended. Can be called again."""


StartTraffic = Callable[[TrafficPlan, e.Tell], Traffic]


class ProberProcess:
    """Traffic from a process of its own, so that nothing that this one does can hold it up."""

    def __init__(self, plan: TrafficPlan, tell: e.Tell) -> None:
        """Start it, and return when the schedule begins.

        Raises PreconditionFailed: CHAOS-RATE-TOO-HIGH when this machine cannot hold the rate, CHAOS-NO-PROBER when it
        does not start.
        """
        self._plan, self._tell = plan, tell
        self._spoke = threading.Event()
        self._began = False
        self._refused: dict[str, int] = {}
        self._account: dict[str, Any] = {}
        self._child = Child([sys.executable, "-m", "chaosctl.chaos.prober"])
        self._child.write(json.dumps(asdict(plan)))
        self._reader = threading.Thread(target=self._read, name="prober", daemon=True)
        self._reader.start()
        self._await_begin()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def _await_begin(self) -> None:
        """Wait for the first sign of life: its greeting, its refusal, or its end."""
        self._spoke.wait(START_SECONDS)
        if self._began:
            return
        self._child.end(0)
        self._reader.join(END_SECONDS)
        raise self._rate_too_high() if self._refused else self._not_started()

    def _read(self) -> None:
        why = "it ended without an account of its requests"
        try:
            self._take_all()
        except Exception as error:  # noqa: BLE001 - the run is told that its traffic is lost
            why = f"what it said could not be taken in: {error!r}"
            self._account = {}
        finally:
            self._spoke.set()
            if self._began and not self._account:
                self._tell(e.TrafficLost(time.monotonic(), why))

    def _take_all(self) -> None:
        for line in self._child.lines():
            try:
                message = msgspec.json.decode(line)
            except ValueError:  # it was killed while it wrote
                return
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        now = time.monotonic()
        if "requests" in message:
            records, waiting = message["requests"], message["waiting"]
            if records or waiting:
                made = tuple(Request(*record) for record in records)
                self._tell(e.RequestsSeen(now, made, {stream: tuple(times) for stream, times in waiting.items()}))
        elif "hello" in message:
            self._tell(e.TrafficStarted(message["hello"]["start"] / 1e6))
            self._began = True
            self._spoke.set()
        elif "learnt" in message:
            self._tell(e.BodyLearnt(now, tuple(message["learnt"])))
        elif "refused" in message:
            self._refused = message["refused"]
        elif "end" in message:
            self._account = message["end"]
            self._tell(e.TrafficEnded(now, **_account(self._account)))

    def stop(self) -> None:
        """See Traffic. A prober that does not end in time is killed, which makes the measurement invalid."""
        self._child.write("stop")
        self._reader.join(self._plan.timeout + END_SECONDS)
        self._child.end(0 if self._reader.is_alive() else END_SECONDS)
        self._reader.join(END_SECONDS)

    def _rate_too_high(self) -> PreconditionFailed:
        return PreconditionFailed(
            f"this machine cannot hold {self._plan.rate:g} requests a second on each stream",
            code="CHAOS-RATE-TOO-HIGH",
            why=f"while the service hangs, {self._refused['needed']} connections would be open at once; "
            f"the limit on open files allows {self._refused['capacity']}",
            remedy="ask for less with --rate, or raise the limit (ulimit -n)",
        )

    def _not_started(self) -> PreconditionFailed:
        return PreconditionFailed(
            "the prober does not start",
            code="CHAOS-NO-PROBER",
            why=self._child.errors or f"no sign of it within {START_SECONDS:g} s",
            remedy="run it by itself to see why: python -m chaosctl.chaos.prober",
        )


def _account(end: dict[str, Any]) -> dict[str, Any]:
    totals = {stream: tuple(numbers) for stream, numbers in end["totals"].items()}
    return {**end, "totals": totals}
