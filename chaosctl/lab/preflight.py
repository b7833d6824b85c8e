"""Can this machine carry a lab? Every reason why not is found at once, before anything is changed."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from chaosctl.errors import PreconditionFailed
from chaosctl.lab.layout import Layout

INOTIFY_NEEDED = 48  # a lab of two nodes takes about 25, one of four 40
DISK_NEEDED = 3 * 10**9  # bytes: images on two nodes, etcd and logs, with room for a day's work
Problem = tuple[str, str]  # what is wrong, what to do


def check(layout: Layout, aws_port: int) -> None:
    """Raise PreconditionFailed (LAB-UNFIT) that names every problem; return when there is none."""
    problems = list(not_linux(layout, aws_port))  # the others look into /proc and /sys
    problems = problems or [problem for find in CHECKS for problem in find(layout, aws_port)]
    if not problems:
        return
    raise PreconditionFailed(
        "this machine cannot run the lab",
        code="LAB-UNFIT",
        why="\n".join(what for what, _ in problems),
        remedy="; ".join(dict.fromkeys(remedy for _, remedy in problems)),
    )


def not_linux(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """The lab is made of Linux namespaces and cgroups."""
    if platform.system() != "Linux":
        yield f"it runs {platform.system()}, not Linux", "use a Linux (virtual) machine, or `--target aws`"


def not_root(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """Namespaces, mounts and cgroups need root."""
    if os.geteuid() != 0:
        yield f"you are uid {os.geteuid()}, not root", "run it as root, for example with sudo"


def kernel_lacks(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """containerd's snapshots are overlays."""
    filesystems = Path("/proc/filesystems")
    if filesystems.exists() and "overlay" not in filesystems.read_text() and not _loads("overlay"):
        yield "the kernel has no overlayfs", "load it (`modprobe overlay`) or use a kernel that has it"


def no_cgroups(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """kubelet needs cpu, memory and pids controllers."""
    root = Path("/sys/fs/cgroup")
    unified = root / "cgroup.controllers"
    have = set(unified.read_text().split()) if unified.exists() else {p.name for p in root.glob("*")}
    missing = {"cpu", "cpuset", "memory", "pids"} - have
    if missing:
        yield f"cgroup controllers are missing: {', '.join(sorted(missing))}", "mount them below /sys/fs/cgroup"


def disk_full(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """Images and logs need room."""
    place = _existing(layout.root)
    free = shutil.disk_usage(place).free
    if free < DISK_NEEDED:
        yield (
            f"{place} has {free / 1e9:.1f} GB free, the lab needs {DISK_NEEDED / 1e9:.0f} GB",
            "free some, or set CHAOSCTL_STATE_DIR to a place with room",
        )


def not_writable(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """State has to be kept somewhere."""
    place = _existing(layout.root)
    if not os.access(place, os.W_OK):
        yield f"{place} cannot be written", "set CHAOSCTL_STATE_DIR to a directory that can"


def overlay_on_overlay(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """An overlay cannot be the upper layer of an overlay (as inside most containers)."""
    if _filesystem(_existing(layout.root)) == "overlay":
        yield (
            f"{layout.root} is on an overlay filesystem, as inside a container",
            "set CHAOSCTL_STATE_DIR to a directory on a real filesystem, for example a volume",
        )


def few_watches(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """kubelet and containerd watch files; without inotify instances kubelet ends at once, again and again."""
    libc = ctypes.CDLL(None, use_errno=True)
    taken = [fd for fd in (libc.inotify_init1(os.O_CLOEXEC) for _ in range(INOTIFY_NEEDED)) if fd >= 0]
    for fd in taken:
        os.close(fd)
    if len(taken) < INOTIFY_NEEDED:
        yield (
            f"the kernel grants {len(taken)} more inotify instances, the lab needs {INOTIFY_NEEDED}",
            "raise the limit: `sysctl -w fs.inotify.max_user_instances=1024`",
        )


def port_taken(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """The AWS endpoint has its own loopback address, but 0.0.0.0:PORT would take that too."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((layout.loopback(0), aws_port))
        except OSError as error:
            yield (
                f"{layout.loopback(0)}:{aws_port} cannot be listened on: {error.strerror}",
                "set lab.aws_port in chaosctl.toml (CHAOSCTL_LAB__AWS_PORT) to a free port",
            )


CHECKS: tuple[Callable[[Layout, int], Iterator[Problem]], ...] = (
    not_root,
    kernel_lacks,
    no_cgroups,
    not_writable,
    disk_full,
    overlay_on_overlay,
    few_watches,
    port_taken,
)


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())


def _loads(module: str) -> bool:
    """Whether the kernel can load it: modprobe is not tried here, a mount would."""
    return any(Path("/lib/modules", platform.release()).glob(f"kernel/**/{module}.ko*"))


def _filesystem(path: Path) -> str:
    """Type of the filesystem that holds `path`, from /proc/self/mounts: the longest mount point wins."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    holding = [(len(m[1]), m[2]) for m in mounts if path == Path(m[1]) or Path(m[1]) in path.parents]
    return max(holding, default=(0, ""))[1]
