"""A running container, found by its cgroups: who is in it, what it may use and what it does use."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from chaosctl.chaos.agent.act import Cannot

CGROUPS = Path("/host/cgroup")  # where the helper's pod has the node's


@dataclass(frozen=True)
class Container:
    """A running container: its cgroups (one in each hierarchy of version 1, or the one of version 2), its first PID."""

    groups: tuple[Path, ...]
    main: int

    @classmethod
    def find(cls, identity: str, root: Path = CGROUPS) -> Container:
        """By the ID that the container runtime gave it, which is in the name of its cgroups. Raises Cannot."""
        groups = tuple(Path(top, name) for top, names, _ in os.walk(root) for name in names if identity in name)
        pids = {int(pid) for group in groups for pid in (group / "cgroup.procs").read_text().split()}
        if not pids:
            raise Cannot("its container does not run")
        return cls(groups, min(pids, key=_started))

    def read(self, *names: str) -> str:
        """What the first of these files says that its cgroups have; empty when they have none."""
        files = (group / name for name in names for group in self.groups)
        return next((file.read_text() for file in files if file.exists()), "")

    def join(self) -> None:
        """Put the calling process into it: what that uses is accounted to the container, within its limits."""
        for group in self.groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def cpu_seconds(self) -> float:
        """What all of its processes have used."""
        if nanoseconds := self.read("cpuacct.usage"):
            return int(nanoseconds) / 1e9
        return _counters(self.read("cpu.stat")).get("usage_usec", 0) / 1e6

    def cpus(self) -> float:
        """How many processors it may use; infinite without a limit."""
        words = (self.read("cpu.max") or f"{self.read('cpu.cfs_quota_us')} {self.read('cpu.cfs_period_us')}").split()
        return math.inf if words[:1] in ([], ["max"], ["-1"]) else int(words[0]) / int(words[1])

    def throttled(self) -> int:
        """In how many of the scheduler's periods its limit has stopped it."""
        return _counters(self.read("cpu.stat")).get("nr_throttled", 0)

    def memory(self) -> int:
        """Bytes in use."""
        return int(self.read("memory.current", "memory.usage_in_bytes") or 0)

    def memory_limit(self) -> int:
        """Bytes. Raises Cannot when there is no limit."""
        limit = self.read("memory.max", "memory.limit_in_bytes").strip()
        if not limit.isdigit() or int(limit) >= 1 << 60:
            raise Cannot("its container has no memory limit: the whole node would come under pressure")
        return int(limit)


def _started(pid: int) -> int:
    """When a process was started; one that has ended meanwhile counts as last. Field numbers as in proc_pid_stat(5)."""
    try:
        return _stat(pid)[22 - 3]
    except OSError:
        return sys.maxsize


def cpu_seconds_of(pid: int) -> float:
    """What one process has used, user and system time."""
    return sum(_stat(pid)[14 - 3 : 16 - 3]) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[int]:
    """What /proc says of a process, from the third field on; the state, the only letter, as 0."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [0, *map(int, words[1:])]


def _counters(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}
