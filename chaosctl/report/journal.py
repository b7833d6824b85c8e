"""The journal of a run: one JSON line per event, written as it happens, readable after a `kill -9`."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from chaosctl.chaos import events as e
from chaosctl.events import Event

NAME = "journal.jsonl"
FORMAT = 1
SYNCED = (e.ExperimentStarted, e.Injected, e.Ended)  # on disk before anything else happens


class Journal:
    """Writes events into `directory`/journal.jsonl. Its `emit` can be called from any thread."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = directory / NAME
        self._file = self.path.open("wb", buffering=0)
        self._lock = threading.Lock()

    def emit(self, event: Event) -> None:
        """Append an event."""
        with self._lock:
            self._file.write(encode(event))
            if isinstance(event, SYNCED):
                os.fsync(self._file.fileno())

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def encode(event: Event) -> bytes:
    """An event as a line: {"type": "Injected", "at": 12.5, ...}. One without a time of its own gets the present.

    Requests, of which there may be a hundred thousand, are arrays: their fields are told by position.
    """
    fields = {f.name: getattr(event, f.name) for f in dataclasses.fields(event)}
    head: dict[str, Any] = {"type": type(event).__name__, "at": time.monotonic()}
    if isinstance(event, e.ExperimentStarted):
        head["format"] = FORMAT
    return msgspec.json.encode(head | fields) + b"\n"
