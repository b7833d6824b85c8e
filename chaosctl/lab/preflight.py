"""Can this machine carry a lab? Every reason why not is found at once, before anything is changed."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from chaosctl.errors import PreconditionFailed
from chaosctl.lab import cgroups, processes
from chaosctl.lab.hosts import HOSTS, HostsFile
from chaosctl.lab.layout import AWS_ENDPOINT, CLUSTERS, LOAD_BALANCERS, Layout

INOTIFY_NEEDED = 48  # a lab of two nodes takes about 25, one of four 40
API_PORT = 443  # of the first cluster's gateway, on loopback address 1
HTTP_PORT = 80  # of the first load balancer
DISK_NEEDED = 3 * 10**9  # bytes: images on two nodes, etcd and logs, with room for a day's work
DISK_TO_GO_ON = 3 * 10**8  # bytes: for a lab whose images are there already
CGROUPS = cgroups.ROOT
Problem = tuple[str, str]  # what is wrong, what to do


def check(layout: Layout, aws_port: int) -> None:
    """Raise PreconditionFailed (LAB-UNFIT) that names every problem; return when there is none."""
    _refuse(problems(layout, aws_port))


def problems(layout: Layout, aws_port: int) -> list[Problem]:
    """Everything that stands in the way of a lab, nothing of one that runs already."""
    elsewhere = list(not_linux(layout, aws_port))  # the other checks look into /proc and /sys
    return elsewhere or [problem for find in CHECKS for problem in find(layout, aws_port)]


def check_platform(layout: Layout) -> None:
    """Raise PreconditionFailed (LAB-UNFIT) where there cannot be a lab, nor anything left of one."""
    _refuse(list(not_linux(layout, 0)))


def check_rights(layout: Layout) -> None:
    """Raise PreconditionFailed (LAB-UNFIT) when nobody could make or remove a lab here."""
    _refuse([problem for find in (not_linux, not_root) for problem in find(layout, 0)])


def is_elsewhere() -> bool:
    """Whether this is a system on which there can be no lab."""
    return platform.system() != "Linux"


def _refuse(problems: Sequence[Problem]) -> None:
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
    if is_elsewhere():
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
    unified = CGROUPS / "cgroup.controllers"
    have = set(unified.read_text().split()) if unified.exists() else {p.name for p in CGROUPS.glob("*")}
    missing = {"cpu", "cpuset", "memory", "pids"} - have
    if missing:
        yield f"cgroup controllers are missing: {', '.join(sorted(missing))}", "mount them below /sys/fs/cgroup"


def disk_full(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """Images and logs need room."""
    place = _existing(layout.root)
    free = shutil.disk_usage(place).free
    needed = DISK_TO_GO_ON if layout.root.exists() else DISK_NEEDED
    if free < needed:
        yield (
            f"{place} has {free / 1e9:.1f} GB free, the lab needs {needed / 1e9:g} GB",
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


def no_loopback(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """In a network namespace of its own, as some sandboxes have it, the loopback interface is down at first."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((layout.loopback(AWS_ENDPOINT), aws_port)) in (errno.ENETUNREACH, errno.EADDRNOTAVAIL):
            yield "the loopback interface is down", "run `ip link set lo up`"


def ports_taken(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """The lab has loopback addresses of its own, but who listens on 0.0.0.0 takes the port of those too."""
    if processes.with_marker(layout.marker):
        return  # of a lab whose supervisor was killed: they are ended before anything listens again
    yield from listener(layout, aws_port)
    for index, port, use in (
        (CLUSTERS[0], API_PORT, "the Kubernetes API"),
        (LOAD_BALANCERS[0], HTTP_PORT, "the first load balancer"),
    ):
        address = layout.loopback(index)
        if why := _occupied(address, port):
            yield f"{address}:{port}, for {use}, cannot be listened on: {why}", "stop it while the lab runs"


def listener(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """Whether somebody else has the port of the lab's AWS."""
    if why := _occupied(layout.loopback(AWS_ENDPOINT), aws_port):
        yield (
            f"{layout.loopback(AWS_ENDPOINT)}:{aws_port} cannot be listened on: {why}",
            "stop it, or set lab.aws_port in chaosctl.toml (CHAOSCTL_LAB__AWS_PORT) to a free port",
        )


def _occupied(address: str, port: int) -> str:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"{processes.listening_on(address, port)} listens there"
            return error.strerror or str(error)
    return ""


def names_taken(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """What has to have a name that no other lab and nothing else on the machine has."""
    other = "set CHAOSCTL_STATE_DIR to another directory, which gives the lab other names"
    if layout.run.exists() and not layout.run.is_dir():
        yield f"{layout.run} is there and is no directory", other
    if processes.with_marker(layout.marker):
        return  # the cgroup and what is in it are ours
    for cgroup in cgroups.existing(layout):
        if pids := (cgroup / "cgroup.procs").read_text().split():
            yield f"the cgroup {cgroup} holds process {', '.join(pids)}, which is not of this lab", other


def hosts_unwritable(layout: Layout, aws_port: int) -> Iterator[Problem]:
    """The names of load balancers, by which users reach the app, go into the hosts file."""
    if os.geteuid() != 0:
        return  # that is told already, and explains it
    if why := HostsFile(layout.hosts_marker).unwritable():
        yield (
            f"{HOSTS}, for the names of load balancers, cannot be written: {why}",
            f"make {HOSTS} a file that root can write (`findmnt -T {HOSTS}` and `lsattr {HOSTS}` show what forbids it)",
        )


CHECKS: tuple[Callable[[Layout, int], Iterator[Problem]], ...] = (
    not_root,
    kernel_lacks,
    no_cgroups,
    not_writable,
    disk_full,
    overlay_on_overlay,
    few_watches,
    no_loopback,
    ports_taken,
    names_taken,
    hosts_unwritable,
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
