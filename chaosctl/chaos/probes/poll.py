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
        self._bug: Exception | None = None  # what ended the thread, though nothing should
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
        if error is None:
            self.raise_bug()

    def raise_bug(self) -> None:
        """Raise what has ended the looking, if anything has: it would look as if nothing changed any more."""
        if self._bug is not None:
            raise self._bug

    def _run(self) -> None:
        try:
            self._poll()
        except Exception as error:  # noqa: BLE001 - whoever asks is told
            self._bug = error

    def _poll(self) -> None:
        took = 0.0
        while not self._stopped.wait(max(0.0, self._interval - took)):
            begun = time.monotonic()
            self._look()
            took = time.monotonic() - begun
