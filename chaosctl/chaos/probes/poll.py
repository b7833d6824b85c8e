"""Looking again and again, on a thread, at what has nothing to watch."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Poll(ABC):
    """Looks on entering, and then begins a look every `interval` seconds. Use as a context manager."""

    def __init__(self, name: str, interval: float) -> None:
        self._interval = interval
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def _look(self) -> None:
        """Look once, and tell what is new."""

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        took = 0.0
        while not self._stopped.wait(max(0.0, self._interval - took)):
            begun = time.monotonic()
            self._look()
            took = time.monotonic() - begun
