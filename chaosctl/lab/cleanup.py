"""Removes everything of a lab from this machine, whatever state it is in, and tells what is still there."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from chaosctl.events import ignore
from chaosctl.lab import cgroups, namespaces, processes, supervisor
from chaosctl.lab.hosts import HostsFile
from chaosctl.lab.layout import Layout
from chaosctl.waiting import TimedOut, wait_until


def remove_everything(layout: Layout) -> None:
    """Remove all of a lab; can be repeated, and needs no part of the lab to be in order.

    What could not be removed is in `inventory` afterwards.
    """
    with suppress(TimedOut):
        wait_until(lambda: (_killed(layout), ""), "the lab's processes end", timeout=20, emit=ignore, interval=0.05)
        cgroups.remove(layout)
    for file in _network_namespaces(layout):
        namespaces.delete_network(file.name)
    for mount in reversed(_mounts(layout)):
        namespaces.unmount(mount)
    with suppress(OSError):
        namespaces.NETNS.rmdir()  # only when nobody else uses it
    for directory in (layout.run, layout.root):
        shutil.rmtree(directory, ignore_errors=True)
    HostsFile(layout.hosts_marker).clear()
    forget_deployments(layout)


def forget_deployments(layout: Layout) -> None:
    """Remove what this machine keeps of what was deployed in a lab that is gone: the next lab knows nothing of it.

    What Terraform could not store in the bucket of one lab would otherwise be stored in that of the next.
    """
    from chaosctl.stages.infra import forget  # with Terraform's adapter, which kubectl's tokens can do without

    for directory in layout.environments.glob("*"):
        forget(directory)


def inventory(layout: Layout) -> list[str]:
    """What of a lab is on this machine, one line each for people; empty when nothing is."""
    return [
        *(f"process {pid} {processes.name(pid)}" for pid in sorted(processes_of(layout) | _guests(layout))),
        *(f"network namespace {file.name}" for file in _network_namespaces(layout)),
        *(f"mount {mount}" for mount in _mounts(layout)),
        *(f"cgroup {directory}" for directory in cgroups.existing(layout)),
        *(f"directory {directory}" for directory in (layout.run, layout.root) if directory.exists()),
        *(f"hosts entry {name}" for name in HostsFile(layout.hosts_marker).names()),
        *(f"file {draft}" for draft in HostsFile(layout.hosts_marker).drafts()),
    ]


def _killed(layout: Layout) -> bool:
    """Kill what there is; True when there was nothing. What is killed may just have started something."""
    found = processes_of(layout) | _guests(layout)
    processes.end(found, grace=0)
    return not found


def processes_of(layout: Layout) -> set[int]:
    """PIDs of all processes of a lab, its pods' included: by marker, cgroup, namespace, and below its supervisor."""
    found = set(processes.with_marker(layout.marker)) | cgroups.pids(layout)
    found |= processes.family(supervisor.pid(layout))
    for file in _network_namespaces(layout):
        found.update(processes.in_namespace("net", file))
    for file in (layout.run / "ns").glob("*"):
        found.update(processes.in_namespace("mnt", file))
    return found


def _guests(layout: Layout) -> set[int]:
    """PIDs of what works on the lab from outside: a Terraform whose chaosctl was killed, and its providers."""
    return set(processes.with_marker(layout.guest_marker))


def _network_namespaces(layout: Layout) -> list[Path]:
    return sorted(namespaces.NETNS.glob(f"{layout.netns_prefix}*"))


def _mounts(layout: Layout) -> list[Path]:
    """Mount points of the lab that this process sees, outermost first."""
    return [
        mount
        for mount in namespaces.mount_points()
        if mount.is_relative_to(layout.run) or mount.is_relative_to(layout.root)
    ]
