"""What puts a fault back, on disk before the fault is there.

One file per fault, written whole and synced (file and directory) before the first change; removed once the change is
known to be undone. A run that finds one left begins by putting it back; so does `chaosctl chaos --undo`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chaosctl.errors import StageFailed

FORMAT = 1
SUFFIX = ".undo.json"

PutBack = Callable[[Mapping[str, Any]], str]  # takes Entry.data, returns one line that says what was done


@dataclass(frozen=True)
class Entry:
    """What is needed to put one fault back.

    fault    its name among the faults
    cluster  identity of the cluster that it was injected into
    data     what the fault itself wrote down
    wall     seconds since the epoch
    """

    fault: str
    cluster: str
    data: Mapping[str, Any]
    wall: float


class UndoLog:
    """The undo entries of one environment, below `directory`.

    `one_cluster` says that the environment has one cluster at a time, so that another one than now is gone.
    """

    def __init__(self, directory: Path, *, one_cluster: bool = True) -> None:
        self._directory, self._one_cluster = directory, one_cluster

    def write(self, fault: str, cluster: str, data: Mapping[str, Any]) -> Path:
        """Write an entry down for good; only then may the fault be injected. Raises OSError when that fails."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        entry = Entry(fault, cluster, data, time.time())
        path = self._directory / f"{time.time_ns()}-{os.getpid()}{SUFFIX}"
        new = path.with_suffix(".new")
        with new.open("w") as file:
            json.dump({"format": FORMAT, **asdict(entry)}, file)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
        _sync(self._directory)
        return path

    def remove(self, path: Path) -> None:
        """The fault is undone."""
        path.unlink(missing_ok=True)
        _sync(self._directory)

    def left(self) -> tuple[tuple[Path, Entry], ...]:
        """Entries of runs that did not come to undo what they did, the newest first: undone in reverse order.

        Raises StageFailed (CHAOS-UNDO-UNREADABLE) for one that cannot be read, which only damage to the disk explains.
        """
        return tuple((path, _read(path)) for path in sorted(self._directory.glob(f"*{SUFFIX}"), reverse=True))

    def put_back(self, cluster: str, faults: Mapping[str, PutBack]) -> list[str]:
        """Undo everything that is left for this cluster; one line for each. An entry stays when undoing it raises.

        Entries for a cluster that is not this one are dropped if it is gone: what they are about went with it, whose
        identity no other has. Else they stay, for a run against that one.
        """
        done = []
        for path, entry in self.left():
            if entry.cluster == cluster:
                done.append(f"{entry.fault}: {faults[entry.fault](entry.data)}")
            elif self._one_cluster:
                done.append(f"{entry.fault}: the cluster that it was injected into is gone")
            else:
                continue
            self.remove(path)
        return done


def _read(path: Path) -> Entry:
    try:
        data = json.loads(path.read_text())
        if data.pop("format") != FORMAT:
            raise ValueError("another format")
        return Entry(**data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StageFailed(
            "an entry of the undo log cannot be read",
            code="CHAOS-UNDO-UNREADABLE",
            why=f"{path}: {error}",
            remedy="look at the file, put back by hand what it names, then delete it",
        ) from error


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
