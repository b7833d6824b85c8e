"""What a lab could leave behind on a machine, seen with the machine's own means."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Snapshot:
    """Processes of labs, network namespaces and interfaces, mounts, cgroups, /run directories and hosts entries."""

    things: frozenset[str]

    @classmethod
    def take(cls) -> Snapshot:
        return cls(frozenset().union(_processes(), _named(), _mounts(), _cgroups(), _hosts()))

    def __sub__(self, earlier: Snapshot) -> list[str]:
        """What is there now and was not then."""
        return sorted(self.things - earlier.things)


def _processes() -> set[str]:
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if b"LAB_OF_CHAOSCTL=" in (entry / "environ").read_bytes():
                found.add(f"process {entry.name} {(entry / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()}")
    return found


def _named() -> set[str]:
    places = ("/run/netns", "/run", "/sys/class/net")
    return {str(path) for place in places if Path(place).is_dir() for path in Path(place).iterdir()}


def _mounts() -> set[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return {f"mount {line.split()[1]}" for line in lines}


def _cgroups() -> set[str]:
    return {str(path) for path in Path("/sys/fs/cgroup").glob("**/chaosctl-*")}


def _hosts() -> set[str]:
    return {f"hosts {line}" for line in Path("/etc/hosts").read_text().splitlines()}
