"""Network and mount namespaces that outlive the process that made them.

A namespace belongs to a thread, so each piece of work inside one runs on a short-lived thread of its own: nothing of it
can leak into the rest of this process.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

NETNS = Path("/run/netns")

_NEW_NET, _NEW_MOUNT = 0x40000000, 0x00020000  # sched.h
_BIND, _REC, _PRIVATE, _SLAVE, _SHARED = 0x1000, 0x4000, 1 << 18, 1 << 19, 1 << 20  # sys/mount.h
_DETACH = 2

_MOUNTS = Path("/proc/self/mountinfo")
_directories = threading.Lock()

T = TypeVar("T")


def mount(source: str | Path, target: str | Path, kind: str = "none", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError."""
    arguments = [os.fsencode(source), os.fsencode(target), kind.encode()]
    if _libc().mount(*arguments, ctypes.c_ulong(flags), data.encode() or None) != 0:
        _fail(str(target))


def mount_points(table: Path = _MOUNTS) -> list[Path]:
    """Where something is mounted, in the order in which it was."""
    return [Path(_unescaped(line.split()[4])) for line in table.read_text().splitlines()]


def bind(source: str | Path, target: str | Path) -> None:
    """Make `source` appear at `target` as well, with all that is mounted below it."""
    mount(source, target, flags=_BIND | _REC)


def share(target: str | Path) -> None:
    """Let mounts below `target` propagate to namespaces made from this one, as kubelet expects."""
    mount("none", target, flags=_SHARED | _REC)


def unmount(target: Path) -> None:
    """Detach what is mounted at `target`; nothing happens when nothing is."""
    with suppress(OSError):
        while _libc().umount2(os.fsencode(target), _DETACH) == 0:
            pass


def create_network(name: str) -> None:
    """Make the network namespace `name`, visible to `ip netns` as well; does nothing when it is there."""
    NETNS.mkdir(parents=True, exist_ok=True)
    file = NETNS / name
    if file.exists() and _is_namespace(file):
        return
    file.touch()
    _hold(_NEW_NET, "net", file, lambda: None)


def delete_network(name: str) -> None:
    """Let go of the network namespace `name`; it ends with the last process in it."""
    _release(NETNS / name)


def create_mount(file: Path, setup: Callable[[], None]) -> None:
    """Make a mount namespace held by `file`, in which `setup` has run; does nothing when it is there.

    Mounts made inside stay inside, and end with it; what the machine unmounts disappears inside too.
    """
    if file.exists() and _is_namespace(file):
        return
    _private_directory(file.parent)
    file.touch()

    def isolate() -> None:
        mount("none", "/", flags=_SLAVE | _REC)
        setup()

    _hold(_NEW_MOUNT, "mnt", file, isolate)


def delete_mount(file: Path) -> None:
    """Let go of a mount namespace; it ends with the last process in it."""
    _release(file)


def in_network(name: str, work: Callable[[], T]) -> T:
    """Run `work` inside the network namespace `name` and return its result. Raises what it raises, and OSError."""

    def enter() -> T:
        fd = os.open(NETNS / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc().setns(fd, _NEW_NET) != 0:
                _fail(name)
        finally:
            os.close(fd)
        return work()

    return _on_thread(enter)


def _hold(flag: int, kind: str, file: Path, setup: Callable[[], None]) -> None:
    # The file is mounted from outside: a mount namespace cannot hold itself.
    ready, held = threading.Event(), threading.Event()
    made: list[int] = []

    def inside() -> None:
        try:
            if _libc().unshare(flag) != 0:
                _fail(str(file))
            setup()
            made.append(threading.get_native_id())
        finally:
            ready.set()
        held.wait()

    def outside() -> None:
        ready.wait()
        try:
            if made:
                bind(f"/proc/self/task/{made[0]}/ns/{kind}", file)
        finally:
            held.set()

    failures: list[BaseException] = []
    threads = [threading.Thread(target=_caught, args=(work, failures)) for work in (inside, outside)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        _release(file)
        raise failures[0]


def _on_thread(work: Callable[[], T]) -> T:
    results: list[T] = []
    failures: list[BaseException] = []
    thread = threading.Thread(target=_caught, args=(lambda: results.append(work()), failures))
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def _caught(work: Callable[[], None], failures: list[BaseException]) -> None:
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - raised again on the thread that asked
        failures.append(error)


def _private_directory(directory: Path) -> None:
    # The kernel refuses to hold a mount namespace in a file on a mount that propagates.
    with _directories:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if directory not in mount_points():
            bind(directory, directory)
            mount("none", directory, flags=_PRIVATE)


def _unescaped(path: str) -> str:
    # Blanks, tabs, newlines and backslashes are octal in mountinfo.
    return path.encode().decode("unicode_escape").encode("latin-1").decode(errors="replace")


def _is_namespace(file: Path) -> bool:
    return file.stat().st_dev != file.parent.stat().st_dev


def _release(file: Path) -> None:
    unmount(file)
    file.unlink(missing_ok=True)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _fail(what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), what)
