"""The loop that makes desired state real: level-triggered, one thread each, woken by changes, retried on errors."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from chaosctl.lab.processes import name_this_thread

log = logging.getLogger(__name__)


class Reconciler(Protocol):
    """Makes one kind of thing real."""

    name: str

    def reconcile(self) -> None:
        """Compare what is desired with what exists and take the next steps.

        Called after every change of the AWS state and every second. Must be idempotent, must return quickly (start
        long work on a thread of its own) and must rediscover what exists after a restart of this process.
        """


class Loop:
    """Runs one reconciler on a thread until stopped."""

    PERIOD = 1.0  # seconds

    def __init__(self, reconciler: Reconciler) -> None:
        self.reconciler = reconciler
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._run, name=f"reconcile: {reconciler.name}", daemon=True)

    def start(self) -> None:
        """Begin to reconcile."""
        self._thread.start()

    def wake(self) -> None:
        """Something changed: look now."""
        self._wake.set()

    def stop(self) -> None:
        """Stop after the current pass, and wait for it."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        name_this_thread(self.reconciler.name)
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self.reconciler.reconcile()
                self._said = ""
            except Exception as error:  # one bad object must not end the loop; the next pass tries again
                if str(error) != self._said:
                    log.exception("%s: %s", self.reconciler.name, error)
                    self._said = str(error)
            self._wake.wait(self.PERIOD)
