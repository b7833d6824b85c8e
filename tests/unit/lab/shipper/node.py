"""A node's log directories as kubelet and containerd leave them."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass, field
from pathlib import Path

from chaosctl.lab.shipper.cri import EPOCH, MILLISECOND

POD_ID = "0b8e2a1c-9d3f-4c55-8a51-0c3ab1f1a111"


@dataclass
class FakeContainer:
    """One container; `write` is what the runtime does, the others are kubelet's."""

    home: Path
    pod: str = "web-1"
    name: str = "web"
    namespace: str = "shop"
    id: str = "a" * 64
    restarts: int = 0
    clock: int = field(default=1_800_000_000_000)  # milliseconds

    def __post_init__(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.touch()
        links = self.home / "containers"
        links.mkdir(exist_ok=True)
        self.link = links / f"{self.pod}_{self.namespace}_{self.name}-{self.id}.log"
        self.link.symlink_to(Path("/var/log/pods") / self.file.relative_to(self.home / "pods"))

    @property
    def file(self) -> Path:
        return self.home / "pods" / f"{self.namespace}_{self.pod}_{POD_ID}" / self.name / f"{self.restarts}.log"

    def write(self, *texts: str, stream: str = "stdout", tag: str = "F") -> None:
        with self.file.open("a") as out:
            for text in texts:
                self.clock += 1
                stamp = (EPOCH + self.clock * MILLISECOND).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
                out.write(f"{stamp} {stream} {tag} {text}\n")

    def rotate(self, suffix: str) -> Path:
        rotated = self.file.with_name(f"{self.file.name}.{suffix}")
        self.file.rename(rotated)
        self.file.touch()
        return rotated

    def remove(self) -> None:
        self.link.unlink()
        for path in self.file.parent.glob(f"{self.file.name}*"):
            path.unlink()


def compress(path: Path) -> None:
    """As kubelet does: another file takes the place."""
    draft = path.with_name(f"{path.name}.tmp")
    draft.write_bytes(gzip.compress(path.read_bytes()))
    draft.rename(path.with_name(f"{path.name}.gz"))
    path.unlink()


def age(directory: Path, seconds: float) -> None:
    """Nobody has written to any file in `directory` for so long."""
    for path in directory.iterdir():
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))
