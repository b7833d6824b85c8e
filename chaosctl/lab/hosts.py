"""The lab's lines in /etc/hosts, so that the DNS names of its load balancers work on this machine."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

HOSTS = Path("/etc/hosts")


class HostsFile:
    """The lines of one lab in a hosts file: those that end in `marker`. Every other byte stays as it is.

    Safe from several processes at once: each change is made under a lock on the file itself, so no lock file stays.
    """

    def __init__(self, marker: str, path: Path = HOSTS) -> None:
        self._marker = marker.encode()
        self._path = path.resolve()

    def names(self) -> dict[str, str]:
        """Address of each of the lab's names."""
        content = self._path.read_bytes() if self._path.exists() else b""
        lines = [line.split() for line in content.splitlines() if self._ours(line)]
        return {fields[1].decode(): fields[0].decode() for fields in lines}

    def set(self, names: Mapping[str, str]) -> None:
        """Make the lab's lines say exactly `names` (name -> address); writes nothing when they do already."""
        if self.names() == dict(names):
            return
        # On top: whatever the file ends in, even without a newline, is then left as it was.
        ours = b"".join(f"{address}\t{name}\t".encode() + self._marker + b"\n" for name, address in names.items())
        self._change(lambda others: ours + others)

    def clear(self) -> None:
        """Remove all of the lab's lines, and what a process left that was killed while it wrote them."""
        self.set({})
        for draft in self.drafts():
            draft.unlink(missing_ok=True)

    def drafts(self) -> list[Path]:
        """New versions of the file that are not in its place yet."""
        return sorted(self._path.parent.glob(f"{self._draft}-*"))

    def unwritable(self) -> str:
        """Why the file cannot be changed; empty when it can."""
        try:
            with self._path.open("r+b"):
                return ""
        except OSError as error:
            return error.strerror or str(error)

    @property
    def _draft(self) -> str:
        return f".{self._path.name}.{self._marker.decode().lstrip('# ')}"

    def _ours(self, line: bytes) -> bool:
        return line.rstrip().endswith(self._marker)

    def _change(self, change: Callable[[bytes], bytes]) -> None:
        with _locked(self._path) as file:
            before = file.read()
            after = change(b"".join(line for line in before.splitlines(keepends=True) if not self._ours(line)))
            if after != before:
                _replace(self._path, file, after, self._path.with_name(f"{self._draft}-{os.getpid()}"))


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    while True:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Somebody may have put another file in its place while we waited for the lock of this one.
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                yield file
                return


def _replace(path: Path, file: IO[bytes], content: bytes, partial: Path) -> None:
    """Atomically, where the file can be replaced; a bind mount, as in containers, can only be written in place."""
    try:
        partial.write_bytes(content)
        status = os.fstat(file.fileno())
        os.chown(partial, status.st_uid, status.st_gid)
        partial.chmod(status.st_mode & 0o7777)
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        file.seek(0)
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
