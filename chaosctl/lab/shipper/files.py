"""The log files of one node's containers, and how far each has been sent. Survives a kill at any moment.

A file is known by its container and the time of its first line, whatever its name is by now: kubelet renames a file
that is full, compresses it later, and removes it with its pod. So that none of this loses a line, each file gets a
second name, a hard link in a directory of our own, until it is read to its end.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

IN_NODE = Path("/var/log/pods")  # where a node finds its directory `pods`
LINK = re.compile(r"(?P<pod>[^_]+)_(?P<namespace>[^_]+)_(?P<container>.+)-(?P<id>[0-9a-f]{64})\.log")
FIRST_TIME = re.compile(rb"[0-9][0-9T:.Z+-]{19,39}(?= )")
ROTATE_WAIT = 30.0  # seconds without a change after which nobody writes to a file that has lost its name
KEPT = 256 << 20  # bytes of files without a name of their own that are kept, for a log service that does not answer
PART_WAIT = 5.0  # seconds without a change after which a line that is not complete is sent as it is
FIRST_BYTES = 64
CURSORS = "cursors.json"


@dataclass(frozen=True)
class Container:
    """A container, as the names of its files say. `id` is the runtime's: it changes with each restart."""

    id: str
    name: str
    pod: str
    namespace: str
    pod_id: str


class Key(NamedTuple):
    """What a file is known by: its container's id, and when its first line was written."""

    container: str
    first: str

    @property
    def file_name(self) -> str:
        """Of its second name."""
        return f"{self.container}_{self.first}"


@dataclass
class _Known:
    """A container, and for each of its files (by Key.first) how far it was sent; those that are done too."""

    container: Container
    offsets: dict[str, int] = field(default_factory=dict)


@dataclass
class LogFile:
    """A file, by its second name `path`; everything before `offset` was sent."""

    key: Key
    container: Container
    path: Path
    offset: int

    def read(self, size: int) -> tuple[bytes, bool] | None:
        """What follows `offset`, and whether nothing has been written for a while; None when the file is another now.

        A file that was cut and written anew has another first line.
        """
        with self.path.open("rb") as stream:
            if _first_time(stream.read(FIRST_BYTES)) != self.key.first:
                return None
            stream.seek(self.offset)
            data = stream.read(size)
            return data, time.time() - os.fstat(stream.fileno()).st_mtime > PART_WAIT


class NodeLogs:
    """All log files of a node; `home` is the node's directory, with `containers` and `pods` in it."""

    def __init__(self, home: Path) -> None:
        self._links, self._pods, self._own = home / "containers", home / "pods", home / "log-shipper"
        self._known = self._load()
        self._keys: dict[int, Key] = {}  # by inode, of all files that have a second name
        self._compressed: set[int] = set()  # inodes of compressed files that were looked at

    def refresh(self) -> None:
        """Find new files, and forget what is gone. Raises FileNotFoundError when the node is not there (any more)."""
        self._own.mkdir(exist_ok=True, mode=0o700)
        self._find_own()
        live = set()
        for container, current in self._containers():
            live.add(container.id)
            for path in sorted(current.parent.glob(f"{current.name}*")):
                with suppress(FileNotFoundError):  # kubelet was faster
                    self._look_at(container, path)
        gone = self._known.keys() - live - {key.container for key in self._keys.values()}
        for identifier in gone:
            del self._known[identifier]
        if gone:
            self._save()

    def files(self) -> list[LogFile]:
        """The files that are not done, the older ones of a container first."""
        return [
            LogFile(key, known.container, self._own / key.file_name, known.offsets[key.first])
            for key in sorted(self._keys.values())
            if (known := self._known[key.container])
        ]

    def sent(self, file: LogFile, offset: int) -> None:
        """Everything before `offset` was sent; noted on disk when this returns."""
        file.offset = offset
        self._known[file.key.container].offsets[file.key.first] = offset
        self._save()

    def finish(self, file: LogFile) -> None:
        """Give up the second name of a file that was read to its end, if nobody can write to it any more."""
        status = file.path.stat()
        if status.st_nlink == 1 and time.time() - status.st_mtime > ROTATE_WAIT:
            self._drop(file.key)

    def restart(self, file: LogFile) -> None:
        """The file has been cut, and is another one from now on."""
        log.warning("the log of %s was cut after %d bytes", file.container.pod, file.offset)
        self._known[file.key.container].offsets.pop(file.key.first)
        self._drop(file.key)

    # --- what there is

    def _find_own(self) -> None:
        """The second names, and no more of them than may be kept."""
        self._keys, kept = {}, []
        for path in self._own.iterdir():
            container, _, first = path.name.partition("_")
            if first and first in getattr(self._known.get(container), "offsets", ()):
                status = path.stat()
                self._keys[status.st_ino] = Key(container, first)
                if status.st_nlink == 1:
                    kept.append((first, status.st_size, Key(container, first)))
            elif path.name != CURSORS:
                path.unlink()  # a draft
        excess = sum(size for _, size, _ in kept) - KEPT
        for _, size, key in sorted(kept):
            if excess <= 0:
                break
            log.error("LOST: no room for what could not be sent; dropping up to %d bytes of %s", size, key.file_name)
            self._drop(key)
            excess -= size

    def _containers(self) -> Iterator[tuple[Container, Path]]:
        """Containers and their current log files, by the links that kubelet makes in /var/log/containers."""
        for link in self._links.iterdir():
            if match := LINK.fullmatch(link.name):
                with suppress(OSError, ValueError):
                    current = self._pods / link.readlink().relative_to(IN_NODE)
                    pod_id = current.parent.parent.name.rpartition("_")[2]
                    yield Container(match["id"], match["container"], match["pod"], match["namespace"], pod_id), current

    def _look_at(self, container: Container, path: Path) -> None:
        inode = path.stat().st_ino
        if inode in self._keys or path.suffix == ".tmp":
            return
        if path.suffix != ".gz":
            with path.open("rb") as stream:
                first = _first_time(stream.read(FIRST_BYTES))
            if first:
                key = Key(container.id, first)
                self._note(key, container)
                with suppress(FileExistsError):
                    os.link(path, self._own / key.file_name)
                self._keys[inode] = key
        elif inode not in self._compressed:
            self._compressed.add(inode)
            self._look_into(container, path)

    def _look_into(self, container: Container, path: Path) -> None:
        """A compressed file: nearly always one that was sent, else it is unpacked as a file of our own."""
        with gzip.open(path) as stream:
            key = Key(container.id, _first_time(stream.read(FIRST_BYTES)) or "")
            if not key.first or key.first in getattr(self._known.get(container.id), "offsets", ()):
                return
            stream.seek(0)
            draft = self._own / "unpacking"
            with draft.open("wb") as unpacked:
                shutil.copyfileobj(stream, unpacked)
        self._note(key, container)
        draft.rename(self._own / key.file_name)
        self._keys[(self._own / key.file_name).stat().st_ino] = key

    # --- what is noted

    def _note(self, key: Key, container: Container) -> None:
        """Before a second name is made: without this nobody would know whose it is."""
        self._known.setdefault(container.id, _Known(container)).offsets.setdefault(key.first, 0)
        self._save()

    def _drop(self, key: Key) -> None:
        (self._own / key.file_name).unlink()
        self._keys = {inode: other for inode, other in self._keys.items() if other != key}

    def _load(self) -> dict[str, _Known]:
        try:
            noted = json.loads((self._own / CURSORS).read_text())
        except FileNotFoundError:
            return {}
        return {known["container"]["id"]: _Known(Container(**known["container"]), known["offsets"]) for known in noted}

    def _save(self) -> None:
        draft = self._own / f"{CURSORS}.new"
        draft.write_text(json.dumps([asdict(known) for known in self._known.values()]))
        draft.replace(self._own / CURSORS)


def _first_time(data: bytes) -> str | None:
    """The time that a file begins with; None as long as it has no line, or when it is no file of a CRI runtime."""
    match = FIRST_TIME.match(data)
    return match[0].decode() if match else None
