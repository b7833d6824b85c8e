"""One run at a time changes an environment; who comes second is told who is first."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from chaosctl.errors import Busy


@contextmanager
def held(directory: Path, command: str) -> Iterator[None]:
    """Hold the lock of the environment in `directory`. The kernel frees it when the process dies, however it dies."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock, holder = FileLock(directory / "lock"), directory / "lock.json"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise _busy(holder) from None
    try:
        holder.write_text(json.dumps({"pid": os.getpid(), "command": command, "since": time.time()}))
        yield
    finally:
        holder.unlink(missing_ok=True)
        _remove_empty(directory)
        lock.release()


def _remove_empty(directory: Path) -> None:
    """Remove the directory of an environment of which nothing is left but the lock, and what was there for it alone.

    Whoever opens the lock meanwhile finds it deleted, and makes it anew.
    """
    if [path.name for path in directory.iterdir()] != ["lock"]:
        return
    with suppress(OSError):  # another run has begun
        (directory / "lock").unlink()
        for empty in (directory, *directory.parents[:2]):
            empty.rmdir()


def _busy(holder: Path) -> Busy:
    try:
        told = json.loads(holder.read_text())
        since = time.strftime("%H:%M:%S", time.localtime(told["since"]))
        why = f"process {told['pid']} since {since}: {told['command']}"
    except (OSError, ValueError, KeyError):
        why = "it has only just begun"
    return Busy(
        "another run is changing this environment",
        code="BUSY",
        why=why,
        remedy="wait until it ends, or use another --environment",
    )
