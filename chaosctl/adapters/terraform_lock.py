"""The lock on a Terraform state: who holds it, and whether the holder is a run of ours that died.

Terraform cannot tell: a killed run leaves its lock for ever. Therefore every run first writes down, on this machine,
which process it is. A lock is stale only when all of this holds: it was taken on this machine, after a run that we
wrote down began and before the next one did, that run's process is gone, and no Terraform works on our data directory
any more.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

KEPT_RUNS = 20
CLOCK_SLACK = 2.0  # seconds by which the clocks of a lock and of our record may differ
FIELD = re.compile(r"^\s*(ID|Path|Operation|Who|Version|Created|Info):[ \t]*(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class LockInfo:
    """A lock as Terraform reports it. `created` is None when it could not be read."""

    id: str
    path: str
    operation: str
    who: str  # user@host
    created: datetime | None

    @property
    def host(self) -> str:
        """The machine on which it was taken."""
        return self.who.rpartition("@")[2]

    def __str__(self) -> str:
        when = f" since {self.created:%Y-%m-%d %H:%M:%S} UTC" if self.created else ""
        return f"{self.who} ({self.operation}){when}, lock {self.id}"


def parse(text: str) -> LockInfo | None:
    """The lock in Terraform's "Error acquiring the state lock", or None when it says nothing of one."""
    fields = dict(FIELD.findall(text))
    if not fields.get("ID"):
        return None
    return LockInfo(
        id=fields["ID"],
        path=fields.get("Path", ""),
        operation=fields.get("Operation", ""),
        who=fields.get("Who", ""),
        created=_time(fields.get("Created", "")),
    )


def of_file(content: str) -> LockInfo | None:
    """The lock in the lock file beside a state in S3, or None when it says nothing of one."""
    try:
        told = json.loads(content)
    except ValueError:
        return None
    if not isinstance(told, dict) or not told.get("ID"):
        return None
    created = re.sub(r"T(\S+?)Z$", r" \1 +0000", str(told.get("Created", "")))
    return LockInfo(
        id=str(told["ID"]),
        path=str(told.get("Path", "")),
        operation=str(told.get("Operation", "")),
        who=str(told.get("Who", "")),
        created=_time(created),
    )


def _time(text: str) -> datetime | None:
    # 2026-11-23 16:40:53.620648123 +0000 UTC: nanoseconds, which strptime does not take
    found = re.match(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(\.\d{1,6})?\d* ([+-]\d{4})", text)
    if not found:
        return None
    return datetime.strptime("".join(filter(None, found.groups())), _format(found.group(2))).astimezone(UTC)


def _format(fraction: str | None) -> str:
    return f"%Y-%m-%d %H:%M:%S{'.%f' if fraction else ''}%z"


@dataclass(frozen=True)
class Run:
    """One of our runs: the process, when that process was created, and when the run began (Unix times)."""

    pid: int
    process_created: float
    host: str
    began: float

    @property
    def alive(self) -> bool:
        """Whether its process still exists and is another than this one."""
        if self.pid == os.getpid():
            return False  # this process knows that it runs no other Terraform on this directory
        try:
            return abs(psutil.Process(self.pid).create_time() - self.process_created) < 1
        except psutil.Error:
            return False


class Runs:
    """The record of runs in `file`, beside the data directory that they use."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def begin(self) -> None:
        """Write down that this process is about to run Terraform."""
        me = psutil.Process()
        run = Run(me.pid, me.create_time(), socket.gethostname(), datetime.now(UTC).timestamp())
        kept = [*self.read(), run][-KEPT_RUNS:]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_suffix(".new")
        fresh.write_text("".join(json.dumps(asdict(each)) + "\n" for each in kept))
        fresh.replace(self.file)

    def read(self) -> list[Run]:
        """All runs on record, the oldest first."""
        try:
            lines = self.file.read_text().splitlines()
        except FileNotFoundError:
            return []
        return [Run(**json.loads(line)) for line in lines]

    def holder(self, lock: LockInfo) -> Run | None:
        """The run on record that took `lock`, or None when it was somebody else."""
        if lock.created is None or lock.host != socket.gethostname():
            return None
        taken = lock.created.timestamp() + CLOCK_SLACK
        before = [run for run in self.read() if run.host == lock.host and run.began <= taken]
        return before[-1] if before else None


def is_stale(lock: LockInfo, runs: Runs, data_dir: Path) -> bool:
    """Whether `lock` was left behind by a run of ours that is dead, so that it can be removed safely."""
    holder = runs.holder(lock)
    return holder is not None and not holder.alive and not list(at_work(data_dir))


def at_work(data_dir: Path) -> Iterable[psutil.Process]:
    """Terraform processes that use `data_dir` (TF_DATA_DIR) right now."""
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != "terraform":
            continue
        try:
            if process.environ().get("TF_DATA_DIR") == str(data_dir):
                yield process
        except psutil.Error:
            continue  # it ended meanwhile, or belongs to somebody else
