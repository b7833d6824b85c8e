"""Events as they happen, on stderr: a moving display on a terminal, plain lines with a time everywhere else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from chaosctl.events import (
    Event,
    ResourceProgress,
    StageFinished,
    StageStarted,
    StandInUsed,
    Step,
    Transfer,
    Waiting,
    Warned,
)

if TYPE_CHECKING:
    from chaosctl.ui.panel import Panel

INCAPABLE = ("", "dumb", "unknown")  # values of TERM whose terminals cannot move their cursor
SILENT_SECONDS = 3.5  # in plain lines, waiting is mentioned when nothing else was said for so long
QUIET_SECONDS = 4.0  # the same transfer or running resource is mentioned at most this often in plain lines


class Live(Protocol):
    """Shows events between entering and leaving."""

    def emit(self, event: Event) -> None:
        """Show one event; safe from any thread."""

    def __enter__(self) -> Live:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the screen tidy."""


def open_live(stream: TextIO, *, verbose: int = 0, environment: Mapping[str, str] = os.environ) -> Live:
    """A moving display when `stream` is a capable terminal, else plain lines."""
    if stream.isatty() and environment.get("TERM", "") not in INCAPABLE:
        from chaosctl.ui.terminal import Terminal

        return Terminal(stream, verbose=verbose)
    return Lines(stream, verbose=verbose)


class Chaos:
    """The panel of the chaos run that is under way, if one is; chaos is imported only then."""

    def __init__(self) -> None:
        self.panel: Panel | None = None

    def take(self, event: Event) -> bool:
        """Pass an event of a run on; False for other events."""
        if type(event).__module__ != "chaosctl.chaos.events":
            return False
        from chaosctl.chaos.events import ChaosEvent
        from chaosctl.ui.panel import panel_of

        assert isinstance(event, ChaosEvent)
        self.panel = panel_of(event) or self.panel
        if self.panel is not None:
            self.panel.add(event)
        return True


class Lines:
    """One line per event, with the seconds since the beginning."""

    def __init__(self, stream: TextIO, *, verbose: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._verbose, self._clock = stream, verbose, clock
        self._started = clock()
        self._said: dict[str, float] = {}
        self._last_line = clock()
        self._at = ("", 0.0)  # the stage that runs, and since when
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="plain lines", daemon=True)
        self._lock = threading.Lock()
        self._chaos = Chaos()

    def emit(self, event: Event) -> None:
        """Print the event unless the same was said a moment ago."""
        with self._lock:
            if self._repeats(event):
                return
            if isinstance(event, StageStarted):
                self._at = (event.stage, self._clock())
            self._print(self._of_chaos() if self._chaos.take(event) else line_of(event))

    def _print(self, text: str) -> None:
        if text:
            self._last_line = self._clock()
            with suppress(OSError):  # nobody reads any more: that must not stop the work
                print(f"{self._clock() - self._started:7.1f}s  {text}", file=self._stream, flush=True)

    def _tick(self) -> None:
        """Whatever forgets to say that it waits: the work as a whole goes on, and that is said."""
        while not self._over.wait(0.25):
            with self._lock:
                if self._clock() - self._last_line >= SILENT_SECONDS + 1.1:
                    stage, since = self._at
                    self._print(f"{stage} goes on, {duration(self._clock() - since)}" if stage else "still at it")

    def _of_chaos(self) -> str:
        return self._chaos.panel.said() if self._chaos.panel else ""

    def _repeats(self, event: Event) -> bool:
        if self._verbose:
            return False
        if isinstance(event, Waiting):
            return self._clock() - self._last_line < SILENT_SECONDS
        if isinstance(event, Transfer):
            finished = bool(event.total) and event.done >= event.total
            return not finished and self._recent(f"transfer {event.what}")
        if isinstance(event, ResourceProgress):
            return event.phase == "started" or (event.phase == "running" and self._recent("terraform"))
        return False

    def _recent(self, key: str) -> bool:
        now = self._clock()
        if now - self._said.get(key, -QUIET_SECONDS) < QUIET_SECONDS:
            return True
        self._said[key] = now
        return False

    def __enter__(self) -> Lines:
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._ticker.join()
        with suppress(OSError):
            self._stream.flush()


def line_of(event: Event) -> str:
    """One line for people; empty for events that are not for them."""
    describe: Callable[[Any], str] | None = _LINES.get(type(event))
    return describe(event) if describe else ""


def size(count: float) -> str:
    """Bytes for people: 4.2 MB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def duration(seconds: float) -> str:
    """Seconds for people: 8 s, 2 min 5 s."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def transfer_line(event: Transfer) -> str:
    """Name, sizes and what remains of a download or a build."""
    amount = size if event.unit == "bytes" else str
    of_total = f" of {amount(event.total)}" if event.total else ""
    unit = "" if event.unit == "bytes" else f" {event.unit}"
    remaining = f", {duration(event.remaining)} left" if event.remaining is not None else ""
    return f"{event.what}: {amount(event.done)}{of_total}{unit}{remaining}"


def _finished(event: StageFinished) -> str:
    changed = "" if event.changed else " (nothing to do)"
    return f"{event.stage}: {event.summary}{changed}, {event.seconds:.1f} s"


def _resource(event: ResourceProgress) -> str:
    return f"{event.address}: {event.action} {event.phase}" + (f", {event.seconds:.0f} s" if event.seconds else "")


def _waiting(event: Waiting) -> str:
    return f"waiting for {event.what}, {duration(event.seconds)}" + (f": {event.detail}" if event.detail else "")


_LINES: dict[type[Event], Callable[[Any], str]] = {
    StageStarted: lambda e: f"{e.stage}: {e.description}",
    StageFinished: _finished,
    Step: lambda e: e.text,
    ResourceProgress: _resource,
    Waiting: _waiting,
    Transfer: transfer_line,
    Warned: lambda e: f"warning: {e.text}" + (f" ({e.remedy})" if e.remedy else ""),
    StandInUsed: lambda e: f"stand-in: {e.what} serves in place of {e.real}",
}
