"""What a lab could leave behind on a machine, seen with the machine's own means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaosctl.lab.layout import Layout

MARKERS = (b"LAB_OF_CHAOSCTL=", b"GUEST_OF_CHAOSCTL=")


@dataclass(frozen=True)
class Snapshot:
    """Processes of labs, network namespaces and interfaces, mounts, cgroups, /run directories and hosts entries.

    `others`: state directories, names and markers of labs that are not below `home` and run at the same time. What is
    theirs may come and go meanwhile.
    """

    things: frozenset[str]
    others: frozenset[str]

    @classmethod
    def take(cls, home: Path) -> Snapshot:
        """Now, for a user whose labs are below `home`."""
        labs = {root for _process, root in _processes() if not root.is_relative_to(home)}
        others = {name for root in labs for name in (str(root), Layout(root).run.name)}
        processes = {process for process, _root in _processes()}
        return cls(frozenset().union(processes, _named(), _mounts(), _cgroups(), _hosts()), frozenset(others))

    def __sub__(self, earlier: Snapshot) -> list[str]:
        """What is there now and was not then."""
        others = self.others | earlier.others
        new = self.things - earlier.things
        return sorted(thing for thing in new if not any(other in thing for other in others))


def _processes() -> Iterator[tuple[str, Path]]:
    """Each process of a lab, or at work on it, in words, with the state directory of that lab."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            variables = (entry / "environ").read_bytes().split(bytes(1))
            command = (entry / "cmdline").read_bytes().replace(bytes(1), b" ").decode()
            for root in (v.partition(b"=")[2].decode() for v in variables if v.startswith(MARKERS)):
                yield f"process {entry.name} of {root}: {command}", Path(root)


def _named() -> set[str]:
    places = ("/run/netns", "/run", "/sys/class/net")
    return {str(path) for place in places if Path(place).is_dir() for path in Path(place).iterdir()}


def _mounts() -> set[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return {f"mount {line.split()[1]}" for line in lines}


def _cgroups() -> set[str]:
    return {str(path) for path in Path("/sys/fs/cgroup").glob("**/chaosctl-*")}


def _hosts() -> set[str]:
    drafts = {str(path) for path in Path("/etc").glob(".hosts.chaosctl-*")}
    return drafts | {f"hosts {line}" for line in Path("/etc/hosts").read_text().splitlines()}
