"""The cgroups that hold the pods of the lab's nodes: one below each hierarchy's root, one in it per node. v1 and v2."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from chaosctl.errors import PreconditionFailed
from chaosctl.events import ignore
from chaosctl.lab import processes
from chaosctl.lab.layout import Layout
from chaosctl.waiting import wait_until

ROOT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "cpuset", "memory", "pids")  # what kubelet insists on
WANTED = (*NEEDED, "io", "hugetlb")


def of_node(layout: Layout, instance_id: str) -> str:
    """kubelet's cgroupRoot for an instance."""
    return f"/{layout.cgroup}/{instance_id}"


def unified(root: Path = ROOT) -> bool:
    """Whether this machine has version 2 only."""
    return (root / "cgroup.controllers").exists()


def hierarchies(root: Path = ROOT, mounts: Path = Path("/proc/self/mountinfo")) -> tuple[Path, ...]:
    """Where cgroups are: the one root of version 2, or the mount points of version 1, where a version 2 without
    controllers may stand beside them.
    """
    if unified(root):
        return (root,)
    found = []
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith(("cgroup ", "cgroup2 ")):
            found.append(Path(before.split()[4]))
    return tuple(found)


def ensure(layout: Layout, instance_id: str) -> None:
    """Make the cgroup of a node. Raises PreconditionFailed (LAB-CGROUPS) when the machine has no use of them."""
    if unified():
        _ensure_unified(layout, instance_id)
        return
    for hierarchy in hierarchies():
        for directory in (hierarchy / layout.cgroup, hierarchy / layout.cgroup / instance_id):
            directory.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):  # empty in a new cgroup, and then no process may enter it
                file = directory / name
                if file.exists() and not file.read_text().strip():
                    file.write_text((directory.parent / name).read_text())


def _ensure_unified(layout: Layout, instance_id: str) -> None:
    available = (ROOT / "cgroup.controllers").read_text().split()
    missing = [name for name in NEEDED if name not in available]
    if missing:
        raise _unusable(f"{ROOT} lacks the controllers {', '.join(missing)}")
    directory = ROOT
    for name in ("", layout.cgroup, instance_id):
        directory = directory / name
        directory.mkdir(exist_ok=True)
        _delegate(directory, [name for name in WANTED if name in available])


def _delegate(directory: Path, controllers: list[str]) -> None:
    file = directory / "cgroup.subtree_control"
    missing = [name for name in controllers if name not in file.read_text().split()]
    try:
        # One at a time: a controller that cannot be had must not keep the others away.
        for name in missing:
            file.write_text(f"+{name}")
    except OSError as error:
        if [name for name in NEEDED if name not in file.read_text().split()]:
            raise _unusable(f"{file}: {error}") from error


def _unusable(why: str) -> PreconditionFailed:
    return PreconditionFailed(
        "the lab's nodes cannot have control groups here",
        code="LAB-CGROUPS",
        why=why,
        remedy="in a container, start it with its own cgroup namespace and an init that moves itself out of the root",
    )


def pids(layout: Layout, instance_id: str = "") -> set[int]:
    """Processes in the cgroups of a node, or of the whole lab."""
    found: set[int] = set()
    for directory in _directories(layout, instance_id):
        with suppress(OSError):
            found.update(int(line) for line in (directory / "cgroup.procs").read_text().split())
    return found


def remove(layout: Layout, instance_id: str = "") -> None:
    """Kill all processes in the cgroups of a node, or of the whole lab, and remove those cgroups.

    Raises TimedOut when a process does not end, stuck in the kernel for example.
    """

    def gone() -> tuple[bool, str]:
        left = pids(layout, instance_id)
        processes.end(left, grace=0)
        return _removed(layout, instance_id), f"still there: processes {sorted(left)}"

    wait_until(gone, "the pods' processes end", timeout=15, emit=ignore, interval=0.05)


def existing(layout: Layout) -> list[Path]:
    """The top directories of the lab's cgroups that are there."""
    return [hierarchy / layout.cgroup for hierarchy in hierarchies() if (hierarchy / layout.cgroup).is_dir()]


def _removed(layout: Layout, instance_id: str) -> bool:
    for directory in _directories(layout, instance_id):
        with suppress(OSError):
            directory.rmdir()
    return not any(True for _ in _directories(layout, instance_id))


def _directories(layout: Layout, instance_id: str) -> Iterator[Path]:
    """Deepest first."""
    for hierarchy in hierarchies():
        for directory, _, _ in os.walk(hierarchy / layout.cgroup / instance_id, topdown=False):
            yield Path(directory)
