"""Long work of the reconcilers: one thread for each thing worked on, tried again later when it fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable

from chaosctl.lab.complaints import Complaint

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before work that failed is tried again; doubles each time


class Tasks:
    """What is being worked on. Safe from any thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._running: set[Hashable] = set()
        self._failures: dict[Hashable, int] = {}
        self._complaints: dict[Hashable, Complaint] = {}
        self._not_before: dict[Hashable, float] = {}

    def start(self, key: Hashable, work: Callable[[], None]) -> None:
        """Begin `work` on a thread, unless work under this key is running or failed a moment ago."""
        with self._lock:
            if key in self._running or time.monotonic() < self._not_before.get(key, 0):
                return
            self._running.add(key)
        threading.Thread(target=self._run, args=(key, work), name=f"{self._name}: {key}", daemon=True).start()

    def busy(self, key: Hashable) -> bool:
        """Whether work under this key is running."""
        with self._lock:
            return key in self._running

    def failures(self, key: Hashable) -> int:
        """How many times in a row work under this key failed."""
        with self._lock:
            return self._failures.get(key, 0)

    def _run(self, key: Hashable, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the work is tried again
            self._complaint(key).about(f"{self._name}: {key}", error)
            self._ended(key, self.failures(key) + 1)
        else:
            self._ended(key, 0)

    def _complaint(self, key: Hashable) -> Complaint:
        with self._lock:
            return self._complaints.setdefault(key, Complaint(log))

    def _ended(self, key: Hashable, failures: int) -> None:
        with self._lock:
            self._running.discard(key)
            self._failures.pop(key, None)
            self._not_before.pop(key, None)
            if not failures:
                self._complaints.pop(key, None)
            else:
                self._failures[key] = failures
                self._not_before[key] = time.monotonic() + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1))
