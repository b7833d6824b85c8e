"""The moving display: finished things scroll by, what is going on stays in a few lines at the bottom."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.spinner import Spinner
from rich.text import Text

from chaosctl.events import Event, ResourceProgress, StageFinished, StageStarted, Transfer, Waiting, Warned
from chaosctl.ui.live import Chaos, duration, line_of, transfer_line

SHOWN = 6  # running resources that are listed; of the rest only the number
STALE_SECONDS = 6.0  # something that waits says so every 4 s; older lines are over


class Terminal:
    """A Live on a terminal."""

    def __init__(self, stream: TextIO, *, verbose: int = 0) -> None:
        self._console = Console(file=stream, highlight=False)
        self._verbose = verbose
        self._lock = threading.Lock()
        self._stage: tuple[str, float] | None = None
        self._running: dict[str, tuple[str, float]] = {}
        self._done = 0
        self._waiting: dict[str, tuple[Waiting, float]] = {}
        self._transfers: dict[str, Transfer] = {}
        self._chaos = Chaos()
        self._live = RichLive(get_renderable=self._bottom, console=self._console, refresh_per_second=5, transient=True)

    def __enter__(self) -> Terminal:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def emit(self, event: Event) -> None:
        """Move the bottom lines, or print a line above them."""
        with self._lock:
            text = self._take(event)
        if text:
            self._console.print(text)

    def _take(self, event: Event) -> Text | None:
        if self._chaos.take(event):
            return None
        if isinstance(event, ResourceProgress):
            return self._resource(event)
        if isinstance(event, Waiting):
            self._waiting[event.what] = (event, time.monotonic())
            return None
        if isinstance(event, Transfer):
            return self._transfer(event)
        if isinstance(event, StageStarted):
            self._begin(event)
            return None
        if isinstance(event, StageFinished):
            self._stage = None
            return Text.assemble(("✓ ", "green"), line_of(event))
        style = "yellow" if isinstance(event, Warned) else "dim"
        return Text("  " + line_of(event), style=style) if line_of(event) else None

    def _begin(self, event: StageStarted) -> None:
        self._stage = (line_of(event), time.monotonic())
        self._running.clear()
        self._waiting.clear()
        self._done = 0

    def _resource(self, event: ResourceProgress) -> Text | None:
        if event.phase in ("started", "running"):
            begun = time.monotonic() - event.seconds
            self._running[event.address] = (event.action, self._running.get(event.address, ("", begun))[1])
            return None
        self._running.pop(event.address, None)
        self._done += 1
        if event.phase == "failed":
            return Text(f"  {line_of(event)}", style="red")
        return Text(f"  {line_of(event)}", style="dim") if self._verbose else None

    def _transfer(self, event: Transfer) -> Text | None:
        if event.total and event.done >= event.total:
            self._transfers.pop(event.what, None)
            return Text(f"  {line_of(event)}", style="dim")
        self._transfers[event.what] = event
        return None

    def _bottom(self) -> RenderableType:
        with self._lock:
            now = time.monotonic()
            lines: list[RenderableType] = []
            if self._stage:
                text, since = self._stage
                lines.append(Spinner("dots", text=Text(f"{text}  {duration(now - since)}")))
            lines += [Text(f"    {transfer_line(t)}") for t in self._transfers.values()]
            lines += self._resources(now)
            lines += self._panel()
            fresh = (w for w, at in self._waiting.values() if now - at < STALE_SECONDS)
            lines += [Text(f"    {line_of(w)}", style="dim", overflow="ellipsis", no_wrap=True) for w in fresh]
            return Group(*lines)

    def _panel(self) -> list[RenderableType]:
        lines = self._chaos.panel.lines() if self._chaos.panel else []
        return [Text.assemble(*line, overflow="ellipsis", no_wrap=True) for line in lines]

    def _resources(self, now: float) -> list[RenderableType]:
        if not self._running:
            return []
        oldest = sorted(self._running.items(), key=lambda item: item[1][1])
        lines: list[RenderableType] = [
            Text(f"    {address}: {action}, {duration(now - since)}", overflow="ellipsis", no_wrap=True)
            for address, (action, since) in oldest[:SHOWN]
        ]
        more = f"{len(oldest) - SHOWN} more running, " if len(oldest) > SHOWN else ""
        lines.append(Text(f"    {more}{self._done} resources done", style="dim"))
        return lines
