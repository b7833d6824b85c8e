"""Finding the lab's processes in /proc, and ending them."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

SHIM = "containerd-shim"


def with_environment(entry: str) -> list[int]:
    """Processes that were started with `entry` (NAME=value) in their environment; never this one or its ancestors."""
    wanted = entry.encode()
    mine = _ancestry()
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit() or int(directory.name) in mine:
            continue
        with suppress(OSError):  # it ended meanwhile
            if wanted in (directory / "environ").read_bytes().split(b"\0"):
                found.append(int(directory.name))
    return found


def with_marker(marker: tuple[str, str]) -> list[int]:
    """Processes of the lab whose Layout.marker this is, except those inside containers."""
    return with_environment("=".join(marker))


def name_this_thread(name: str) -> None:
    """Make its first 15 bytes what `top -H` and /proc/PID/task/TID/comm show of the thread that calls this."""
    Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_bytes(name.encode()[:15])


def in_namespace(kind: str, file: Path) -> list[int]:
    """Processes in the namespace of `kind` (net, mnt) that `file` holds."""
    try:
        inode = file.stat().st_ino
    except OSError:
        return []
    mine = _ancestry()
    found = []
    for directory in Path("/proc").iterdir():
        with suppress(OSError):
            if directory.name.isdigit() and (directory / "ns" / kind).stat().st_ino == inode:
                found.append(int(directory.name))
    return [pid for pid in found if pid not in mine]


def family(pid: int) -> set[int]:
    """A process and all that descend from it; empty for 0. Never this process or its ancestors."""
    import psutil  # as below: few that use this module ask for families

    try:
        eldest = psutil.Process(pid)
        return {process.pid for process in (eldest, *eldest.children(recursive=True))} - _ancestry()
    except psutil.NoSuchProcess:
        return set()


def listening_on(address: str, port: int) -> str:
    """Who listens on a TCP port of `address` or of all addresses of this machine's own network, for people."""
    import psutil  # only trouble needs it

    listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    found = {c.pid for c in listening if c.pid and c.laddr in [(a, port) for a in (address, "0.0.0.0", "::")]}  # noqa: S104
    named = [f"process {pid} ({name(pid)})" for pid in sorted(found)]
    return ", ".join(named) or "another program"


def is_shim(pid: int) -> bool:
    """Whether a process is a containerd shim, the parent of containers."""
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(SHIM in Path(word.decode(errors="replace")).name for word in argv[:2])


def name(pid: int) -> str:
    """What a process is called, for people."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "?"


def end(pids: Iterable[int], *, grace: float) -> None:
    """Ask processes to end, kill those that still run after `grace` seconds (0: at once), and wait for their end."""
    handles = _handles(pids)
    try:
        if grace > 0:
            _send(handles, signal.SIGTERM)
            _wait(handles, grace)
        _send(handles, signal.SIGKILL)
        _wait(handles, 10)
    finally:
        for handle in handles:
            os.close(handle)


def _handles(pids: Iterable[int]) -> list[int]:
    handles = []
    for pid in pids:
        with suppress(ProcessLookupError):
            handles.append(os.pidfd_open(pid))  # a PID may be reused; this stays with its process
    return handles


def _send(handles: Iterable[int], number: signal.Signals) -> None:
    for handle in handles:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)


def _wait(handles: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    left = len(handles)
    while left and (remaining := deadline - time.monotonic()) > 0:
        for handle, _ in poll.poll(remaining * 1000):
            poll.unregister(handle)
            left -= 1


def _ancestry() -> set[int]:
    import psutil

    me = psutil.Process()
    return {process.pid for process in (me, *me.parents())}
