"""Progress of a program that downloads but says nothing: by the size of what it has written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chaosctl.events import Emit
from chaosctl.toolbox.download import Progress

EVERY = 0.5  # seconds


def size(directory: Path) -> int:
    """Bytes in all files below `directory`, which may change meanwhile."""
    total = 0
    for path in directory.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


@contextmanager
def growing(what: str, directory: Path, total: int, emit: Emit) -> Iterator[None]:
    """Emit Transfer events while the body makes another program fill `directory`."""
    before = size(directory)
    progress, done, seen = Progress(what, 0, total, emit), threading.Event(), 0

    def watch() -> None:
        nonlocal seen
        while not done.wait(EVERY):
            now = min(size(directory) - before, total)
            progress.add(now - seen)
            seen = now

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    progress.add(total - seen)
    progress.end()
