"""The one lock of the lab's AWS, and the news that something in it changed.

Every request, every saved state and every look of a reconciler holds the lock: moto's own objects are not safe to read
while a request changes them. Requests are pure computation of a few milliseconds, so that nothing is lost by it.
"""

from __future__ import annotations

from collections.abc import Callable

from moto.core.base_backend import backend_lock

LOCK = backend_lock  # reentrant


class Changes:
    """Calls its listeners after each change."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """From now on call `listener` after each change; it must return at once."""
        self._listeners.append(listener)

    def announce(self) -> None:
        """Something changed."""
        for listener in self._listeners:
            listener()
