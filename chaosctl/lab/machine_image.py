"""The disk that a new node starts with, its container images unpacked: made once, then linked. The lab's AMI."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaosctl.adapters import process
from chaosctl.events import ignore
from chaosctl.lab import namespaces, upstream
from chaosctl.lab.layout import Layout
from chaosctl.lab.supervisor import Program, Supervisor
from chaosctl.lab.upstream import Pulls
from chaosctl.waiting import wait_until

NAME = "machine-image"
IMPORT_TIMEOUT = 120.0  # seconds; about 4 in practice
PULL_TIMEOUT = 600.0

# Only what stores images: it runs no container.
CONFIG = """\
version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.grpc.v1.cri"]

[grpc]
  address = "{socket}"

[ttrpc]
  address = "{socket}.ttrpc"

[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"
"""

_building = threading.Lock()


def ensure(layout: Layout, tools: Mapping[str, Path], supervisor: Supervisor) -> Path:
    """The directory of the image with all archives in layout.images, made now unless it is there.

    Safe from any thread of one process. The archives are made when a lab starts, see `images.build`.
    """
    archives, pulls = sorted(layout.images.glob("*.tar")), upstream.chosen(layout)
    names = " ".join([*(archive.name for archive in archives), *pulls.references])
    image = layout.root / NAME / hashlib.sha256(names.encode()).hexdigest()[:12]
    with _building:
        if not image.exists():
            _build(layout, tools, supervisor, archives, pulls, image)
    return image


def copy(image: Path, target: Path) -> None:
    """Make a node's containerd directory from an image; only the databases are copied, all else never changes."""
    partial = target.with_name(f".{target.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    process.run(["cp", "--archive", "--link", image, partial])
    for database in image.rglob("*.db"):
        linked = partial / database.relative_to(image)
        linked.unlink()
        shutil.copyfile(database, linked)
    partial.rename(target)


def _mount_ns(layout: Layout) -> Path:
    return layout.run / "ns" / NAME


def _build(
    layout: Layout,
    tools: Mapping[str, Path],
    supervisor: Supervisor,
    archives: Sequence[Path],
    pulls: Pulls,
    image: Path,
) -> None:
    partial = image.with_name(f".{image.name}.part")
    shutil.rmtree(image.parent, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    socket = layout.run / f"{NAME}.sock"
    config = partial / "containerd.toml"
    config.write_text(CONFIG.format(root=partial, state=layout.run / NAME, socket=socket))
    # Unpacking mounts: in a namespace of its own nothing of that stays when it is killed.
    namespaces.create_mount(_mount_ns(layout), lambda: None)
    argv = (str(tools["containerd"]), "--config", str(config))
    supervisor.ensure(Program(name=NAME, argv=argv, env={"TMPDIR": str(partial)}, mount_ns=_mount_ns(layout)))
    try:
        ctr: list[str | Path] = [tools["ctr"], "--address", socket, "--namespace", "k8s.io"]
        wait_until(lambda: (socket.exists(), ""), "containerd listens", timeout=20, emit=ignore, interval=0.02)
        for archive in archives:
            process.run([*ctr, "images", "import", archive], timeout=IMPORT_TIMEOUT)
        for reference in pulls.references:
            plainly = ["--plain-http"] if pulls.plain_http else []
            process.run([*ctr, "images", "pull", *plainly, reference], timeout=PULL_TIMEOUT)
    finally:
        supervisor.remove(NAME)
        namespaces.delete_mount(_mount_ns(layout))
        shutil.rmtree(layout.run / NAME, ignore_errors=True)
    partial.rename(image)
