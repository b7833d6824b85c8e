"""How much memory a lab takes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from chaosctl.lab import cleanup
from chaosctl.lab.layout import Layout


def of_lab(layout: Layout) -> int:
    """Sum of the proportional set sizes (PSS) of all processes of the lab and its pods, in bytes.

    PSS counts a page shared by n processes as 1/n, so that binaries that several nodes run are counted once.
    Source: Pss in /proc/PID/smaps_rollup, proc(5).
    """
    return sum(of_process(pid) for pid in cleanup.processes_of(layout))


def of_process(pid: int) -> int:
    """Its PSS in bytes; 0 when it has ended, or is somebody else's."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
