"""Waiting that is never silent: whoever waits says for what, once a second. And work that is given up at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from chaosctl.events import Emit, Waiting

HEARTBEAT = 1.0  # seconds between two Waiting events; a display shows as many as it takes to be never silent for five

T = TypeVar("T")


class Cancelled(Exception):
    """The work was given up before its end, because nobody wants its result any more."""


class Cancellation:
    """Work on several threads is to end: set once, by whichever thread knows it."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._calls: list[Callable[[], None]] = []

    def set(self) -> None:
        """End the work: wake those who wait here, and call what `calling` was given."""
        with self._lock:
            self._set.set()
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def is_set(self) -> bool:
        """Whether the work is to end."""
        return self._set.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep for `seconds`, or until it is set. Returns whether it is."""
        return self._set.wait(seconds)

    def check(self) -> None:
        """Raise Cancelled when it is set."""
        if self.is_set():
            raise Cancelled

    @contextmanager
    def calling(self, end: Callable[[], None]) -> Iterator[None]:
        """While the body blocks: call `end`, which makes it return, as soon as this is set (at once if it is).

        Then Cancelled is raised, whatever the body returned or raised.
        """
        with self._lock:
            late = self.is_set()
            if not late:
                self._calls.append(end)
        if late:
            end()
        try:
            yield
        except Exception as error:
            if self.is_set():
                raise Cancelled from error
            raise
        finally:
            with self._lock, suppress(ValueError):
                self._calls.remove(end)
        self.check()


class TimedOut(Exception):
    """`what` did not happen within `seconds`; `detail` is the last thing that was observed."""

    def __init__(self, what: str, seconds: float, detail: str) -> None:
        super().__init__(f"{what} did not happen within {seconds:.0f} s" + (f": {detail}" if detail else ""))
        self.what = what
        self.seconds = seconds
        self.detail = detail


def wait_until(
    check: Callable[[], tuple[T | None, str]],
    what: str,
    *,
    timeout: float,
    emit: Emit,
    interval: float = 0.2,
) -> T:
    """Call `check` every `interval` seconds until its first item is truthy, and return that.

    `check` returns (result, detail); `detail` says what it saw. For states that can be watched, watch instead.
    Raises TimedOut after `timeout` seconds, with the last detail.
    """
    started = last_said = time.monotonic()
    while True:
        result, detail = check()
        if result:
            return result
        now = time.monotonic()
        if now - started >= timeout:
            raise TimedOut(what, timeout, detail)
        if now - last_said >= HEARTBEAT:
            emit(Waiting(what, now - started, detail))
            last_said = now
        time.sleep(min(interval, max(0.0, started + timeout - now)))


@contextmanager
def heartbeat(what: str, emit: Emit, detail: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Emit Waiting every few seconds while the body blocks on something that reports nothing itself."""
    started = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT):
            emit(Waiting(what, time.monotonic() - started, detail()))

    thread = threading.Thread(target=beat, name=f"heartbeat: {what}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
