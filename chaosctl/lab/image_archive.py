"""Container images without a registry or a daemon: docker-archives, as `ctr images import` reads them.

Everything is written in a fixed order with fixed times and owners, so the same files give the same digests.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # platform.machine() -> the name that images use


@dataclass(frozen=True)
class Entry:
    """A file of a layer: its absolute path there, where its bytes come from, and its mode.

    `content` is the bytes, the file that has them, what makes them (from another entry, whose changes count), or None
    for a directory.
    """

    path: str
    content: bytes | Path | Callable[[], bytes] | None
    mode: int = 0o644

    def identity(self) -> str:
        """Changes whenever what would be written changes (files: path, size and modification time)."""
        if isinstance(self.content, Path):
            status = self.content.stat()
            return f"{self.path} {self.mode:o} {self.content} {status.st_size} {status.st_mtime_ns}"
        content = self.content if isinstance(self.content, bytes) else b""
        return f"{self.path} {self.mode:o} {hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Layer:
    """Files that images have in common."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Image:
    """An image: its name with tag, its layers from the bottom up, and what a container of it runs."""

    name: str
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...]
    user: str = "65534:65534"
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()  # 3000/tcp
    working_directory: str = "/"

    def config(self, diff_ids: Sequence[str]) -> dict[str, Any]:
        """The image's configuration as the OCI image specification has it."""
        return {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Entrypoint": list(self.entrypoint),
                "User": self.user,
                "Env": [f"{key}={value}" for key, value in sorted(self.environment.items())],
                "ExposedPorts": {port: {} for port in self.ports},
                "WorkingDir": self.working_directory,
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in diff_ids]},
        }


def identity(images: Iterable[Image]) -> str:
    """Twelve hex digits that change whenever an archive of these images would."""
    parts = [repr((image.name, image.config(()))) for image in images]
    layers = {id(layer): layer for image in images for layer in image.layers}
    parts += [entry.identity() for layer in layers.values() for entry in layer.entries]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def write(destination: Path, images: Sequence[Image]) -> None:
    """Write the images into one archive, each layer once; `destination` appears whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=destination.parent, prefix=".image-", delete=False) as file:
        try:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                _write_images(archive, images, destination.parent)
            file.close()
            Path(file.name).replace(destination)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _write_images(archive: tarfile.TarFile, images: Sequence[Image], scratch: Path) -> None:
    digests: dict[int, str] = {}
    manifest = []
    for image in images:
        for layer in image.layers:
            if id(layer) not in digests:
                digests[id(layer)] = _add_layer(archive, layer, scratch)
        diff_ids = [digests[id(layer)] for layer in image.layers]
        config = json.dumps(image.config(diff_ids), sort_keys=True).encode()
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        _add(archive, Entry(name, config))
        manifest.append({"Config": name, "RepoTags": [image.name], "Layers": [f"{d}/layer.tar" for d in diff_ids]})
    _add(archive, Entry("manifest.json", json.dumps(manifest).encode()))


def _add_layer(archive: tarfile.TarFile, layer: Layer, scratch: Path) -> str:
    with tempfile.TemporaryFile(dir=scratch) as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for entry in sorted(_with_parents(layer.entries), key=lambda entry: entry.path):
                _add(tar, entry)
        size = file.tell()
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        info = _info(f"{digest}/layer.tar", 0o644)
        info.size = size
        archive.addfile(info, file)
    return digest


def _with_parents(entries: Iterable[Entry]) -> list[Entry]:
    """The entries and every directory above them: overlayfs wants them with the mode that they should have."""
    by_path = {entry.path: entry for entry in entries}
    for path in tuple(by_path):
        for parent in Path(path).parents:
            if str(parent) not in ("/", "."):
                by_path.setdefault(str(parent), Entry(str(parent), None, 0o755))
    return list(by_path.values())


def _info(path: str, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.mode = mode
    info.mtime = 0
    return info


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = _info(entry.path, entry.mode)
    if entry.content is None:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
        return
    if isinstance(entry.content, Path):
        with entry.content.open("rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            tar.addfile(info, file)
        return
    content = entry.content if isinstance(entry.content, bytes) else entry.content()
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
