"""What puts a fault back, on disk before the fault is there.

One file per fault, written whole and synced (file and directory) before the first change; removed once the change is
known to be undone. A run that finds one left begins by putting it back; so does `chaosctl chaos --undo`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from chaosctl.errors import ChaosctlError, StageFailed

FORMAT = 1
SUFFIX = ".undo.json"

PutBack = Callable[[Mapping[str, Any]], str]  # takes Entry.data, returns one line that says what was done
T = TypeVar("T")
Part = tuple[str, Callable[[], str]]  # what it is about; puts that back, and returns one line that says so


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

    def anything_left(self) -> bool:
        """Whether there is an entry, readable or not."""
        return bool(self._files())

    def left(self) -> tuple[tuple[Path, Entry], ...]:
        """Entries of runs that did not come to undo what they did, the newest first: undone in reverse order.

        Raises StageFailed (CHAOS-UNDO-UNREADABLE) for one that cannot be read, which only damage to the disk explains.
        """
        return tuple((path, _read(path)) for path in self._files())

    def put_back(self, cluster: str, faults: Mapping[str, PutBack]) -> list[str]:
        """Undo everything that is left for this cluster; one line for each. An entry stays when undoing it raises.

        Entries for a cluster that is not this one are dropped if it is gone: what they are about went with it, whose
        identity no other has. Else they stay, for a run against that one.

        Every entry is tried, whatever became of those before it. Raises as `each` does.
        """
        return [line for line in each((str(path), self._of(path, cluster, faults)) for path in self._files()) if line]

    def _of(self, path: Path, cluster: str, faults: Mapping[str, PutBack]) -> Callable[[], str]:
        """Puts one entry back and removes it; says nothing of one that has to wait."""

        def put_back() -> str:
            entry = _read(path)
            if entry.cluster == cluster:
                done = f"{entry.fault}: {known(entry.fault, faults)(entry.data)}"
            elif self._one_cluster:
                done = f"{entry.fault}: the cluster that it was injected into is gone"
            else:
                return ""
            self.remove(path)
            return done

        return put_back

    def _files(self) -> list[Path]:
        return sorted(self._directory.glob(f"*{SUFFIX}"), reverse=True)


def each(parts: Iterable[Part]) -> list[str]:
    """Put every part back, also when one before it could not be: one that is stuck must not keep the others broken.

    What each said. Raises the ChaosctlError of the only part that failed if nothing else was done; else, at the end,
    StageFailed (CHAOS-UNDO-INCOMPLETE) that names every failure and what was put back nevertheless.
    """
    done, failed = list[str](), list[tuple[str, ChaosctlError]]()
    for name, put_back in parts:
        try:
            done.append(put_back())
        except ChaosctlError as error:
            failed.append((name, error))
        except Exception as error:  # noqa: BLE001 - a bug, or an entry of another version: no reason to leave the others undone
            failed.append((name, _broken(name, error)))
    if failed:
        raise _incomplete([line for line in done if line], failed)
    return done


def known(fault: str, faults: Mapping[str, T]) -> T:
    """The fault of that name. Raises StageFailed (CHAOS-UNDO-UNKNOWN) when this version has none."""
    if fault in faults:
        return faults[fault]
    raise StageFailed(
        f"this version of chaosctl does not know how to put the fault {fault} back",
        code="CHAOS-UNDO-UNKNOWN",
        why=f"it knows {', '.join(faults)}",
        remedy="run `chaosctl chaos --undo` with the version that injected it, or put back by hand what it names",
    )


def _broken(name: str, error: Exception) -> ChaosctlError:
    return StageFailed(
        "an entry of the undo log cannot be carried out",
        code="CHAOS-UNDO-BROKEN",
        why=f"{name}: {type(error).__name__}: {error}",
        remedy="put back by hand what the entry names, then delete it",
    )


def _incomplete(done: list[str], failed: list[tuple[str, ChaosctlError]]) -> ChaosctlError:
    if len(failed) == 1 and not done:
        return failed[0][1]
    return StageFailed(
        f"{len(failed)} of {len(failed) + len(done)} could not be put back",
        code="CHAOS-UNDO-INCOMPLETE",
        why="\n".join([*(f"{name}: {error}" for name, error in failed), *(f"put back: {line}" for line in done)]),
        remedy="; ".join(dict.fromkeys(error.remedy for _, error in failed if error.remedy))
        or "see to what it names, then run `chaosctl chaos --undo` again",
    )


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
