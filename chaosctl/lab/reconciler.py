"""The loop that makes desired state real: level-triggered, one thread each, woken by changes, retried on errors."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from chaosctl.lab.complaints import Complaint
from chaosctl.lab.processes import name_this_thread

log = logging.getLogger(__name__)


class Reconciler(Protocol):
    """Makes one kind of thing real."""

    name: str

    def reconcile(self) -> None:
        """Compare what is desired with what exists and take the next steps.

        Called after every change of the AWS state and every second, or as often as its loop says. Must be idempotent,
        must return quickly (start long work on a thread of its own) and must rediscover what exists after a restart of
        this process.
        """


class Loop:
    """Runs one reconciler on a thread until stopped: every `period` seconds, after a failure once a second at most."""

    PERIOD = 1.0  # seconds

    def __init__(self, reconciler: Reconciler, period: float = PERIOD) -> None:
        self.reconciler = reconciler
        self._period = period
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._complaint = Complaint(log)
        self._thread = threading.Thread(target=self._run, name=f"reconcile: {reconciler.name}", daemon=True)

    def start(self) -> None:
        """Begin to reconcile."""
        self._thread.start()

    def wake(self) -> None:
        """Something changed: look now."""
        self._wake.set()

    def stop(self) -> None:
        """Stop after the current pass, and wait for it."""
        self.end()
        self._thread.join()

    def end(self) -> None:
        """Begin no further pass; returns at once."""
        self._stop.set()
        self._wake.set()

    def ended(self, seconds: float) -> bool:
        """Whether the last pass is over, at the latest after waiting for it for so long."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _run(self) -> None:
        name_this_thread(self.reconciler.name)
        while not self._stop.is_set():
            self._wake.clear()
            self._wake.wait(self._pass())

    def _pass(self) -> float:
        """Reconcile once; seconds until the next time."""
        try:
            self.reconciler.reconcile()
        except Exception as error:  # noqa: BLE001 - one bad object must not end the loop; the next pass tries again
            self._complaint.about(self.reconciler.name, error)
            return max(self._period, self.PERIOD)
        self._complaint.settled()
        return self._period


def stop_all(loops: Sequence[Loop], seconds: float) -> list[str]:
    """Stop all loops at the same time; the names of those whose pass is not over after `seconds`."""
    deadline = time.monotonic() + seconds
    for loop in loops:
        loop.end()
    return [loop.reconciler.name for loop in loops if not loop.ended(deadline - time.monotonic())]
