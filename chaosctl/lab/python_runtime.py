"""The running Python interpreter as files of a container image: program, shared objects, standard library.

It is moved to /usr/local, whatever it was before: a pyenv build, a distribution's, a uv-managed one. Bytecode comes
along, in the form that is never checked against its source: nobody in the container may write any, and compiling at
each start would cost more than the start itself.
"""

from __future__ import annotations

import importlib.util
import marshal
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from chaosctl.adapters import process
from chaosctl.errors import PreconditionFailed
from chaosctl.lab.image_archive import Entry, Layer

PREFIX = "/usr/local"
PROGRAM = f"{PREFIX}/bin/python3"
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY = f"{PREFIX}/{sys.platlibdir}/{VERSION}"
SHARED_OBJECTS = f"{PREFIX}/lib"

ENVIRONMENT = {
    "PATH": f"{PREFIX}/bin",
    "PYTHONHOME": PREFIX,
    "LD_LIBRARY_PATH": SHARED_OBJECTS,
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONUNBUFFERED": "1",
}

_LEFT_OUT = {
    "test", "tests", "idlelib", "tkinter", "turtle.py", "turtledemo", "ensurepip", "lib2to3", "site-packages",
    "dist-packages", "__pycache__", "pydoc_data", "distutils", "venv", "sqlite3", "dbm", "curses", "unittest",
}  # fmt: skip
_EXTENSIONS_LEFT_OUT = (
    "_test", "_ctypes_test", "_tkinter", "_xx", "xx", "_sqlite3", "_dbm", "_gdbm", "_curses", "readline", "nis",
    "ossaudiodev", "audioop", "_codecs_", "_lsprof",
)  # fmt: skip

_USERS = b"root:x:0:0:root:/:/\nnobody:x:65534:65534:nobody:/:/\napp:x:1000:1000:app:/:/\n"
_GROUPS = b"root:x:0:\nnobody:x:65534:\napp:x:1000:\n"
_UNCHECKED = (1).to_bytes(4, "little") + bytes(8)  # pyc flags: found by hash, never checked; then the hash


def layer() -> Layer:
    """Everything that an image needs below a program of its own."""
    executable = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    modules = [entry for source in _sources(library) for entry in module(source, LIBRARY, library)]
    extensions = [Entry(f"{LIBRARY}/lib-dynload/{path.name}", path, 0o755) for path in _extensions()]
    binaries = [executable, *(entry.content for entry in extensions if isinstance(entry.content, Path))]
    return Layer(
        (
            Entry(PROGRAM, executable, 0o755),
            Entry("/tmp", None, 0o1777),  # noqa: S108 - the image's, not this machine's
            Entry("/etc/passwd", _USERS),
            Entry("/etc/group", _GROUPS),
            Entry("/etc/nsswitch.conf", b"hosts: files dns\n"),
            *shared_objects(binaries),
            *extensions,
            *modules,
        )
    )


def module(source: Path, destination: str, root: Path) -> Iterator[Entry]:
    """A module of the tree `root` placed below `destination`, with its bytecode."""
    relative = source.relative_to(root)
    cached = Path(importlib.util.cache_from_source(str(source)))
    yield Entry(f"{destination}/{relative}", source)
    yield Entry(f"{destination}/{relative.parent / '__pycache__' / cached.name}", partial(_bytecode, source, cached))


def _bytecode(source: Path, cached: Path) -> bytes:
    """What this machine has in its cache, when it fits the source, else compiled now; marked as never to be checked."""
    status = source.stat()
    stamp = int(status.st_mtime).to_bytes(4, "little") + (status.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    compiled = cached.read_bytes() if cached.is_file() else b""
    if compiled[:16] == importlib.util.MAGIC_NUMBER + bytes(4) + stamp:
        code = compiled[16:]
    else:
        code = marshal.dumps(compile(source.read_bytes(), source.name, "exec", dont_inherit=True))
    return importlib.util.MAGIC_NUMBER + _UNCHECKED + code


def _sources(library: Path) -> Iterator[Path]:
    for path in sorted(library.iterdir()):
        if path.name in _LEFT_OUT or path.name.startswith("config-") or path.is_symlink():
            continue
        if path.is_dir():
            yield from _sources(path)
        elif path.suffix == ".py":
            yield path


def _extensions() -> list[Path]:
    # sysconfig's platstdlib is no answer: in a virtual environment it names a place where there are none.
    directory = Path(sys.base_exec_prefix) / sys.platlibdir / VERSION / "lib-dynload"
    if not directory.is_dir():  # a statically linked build has none
        return []
    return sorted(p for p in directory.glob("*.so") if not p.name.startswith(_EXTENSIONS_LEFT_OUT))


def shared_objects(binaries: Iterable[Path]) -> list[Entry]:
    """The shared objects that ldd names for these binaries, and the loader, which has to be where they expect it.

    Raises PreconditionFailed (SHARED-OBJECT-MISSING) when one cannot be found on this machine.
    """
    output = process.run(["ldd", *binaries], env={"LC_ALL": "C"}, check=False).stdout
    found: dict[str, Entry] = {}
    for line in output.splitlines():
        words = line.split()
        if words[1:4] == ["=>", "not", "found"]:
            raise _missing(words[0])
        if len(words) >= 3 and words[1] == "=>" and words[2].startswith("/"):
            path = f"{SHARED_OBJECTS}/{Path(words[0]).name}"
            found[path] = Entry(path, Path(words[2]).resolve(), 0o755)
        elif words and words[0].startswith("/") and not words[0].endswith(":"):
            found[words[0]] = Entry(words[0], Path(words[0]).resolve(), 0o755)
    return [*found.values(), *_loaded_at_run_time(found.values())]


def _loaded_at_run_time(found: Iterable[Entry]) -> Iterator[Entry]:
    """What the C library opens by name: the unwinder when a thread ends, resolvers before glibc 2.34."""
    names = ("libgcc_s.so.1", "libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")
    for entry in found:
        if entry.path.endswith("/libc.so.6") and isinstance(entry.content, Path):
            for path in (entry.content.parent / name for name in names):
                if path.exists():
                    yield Entry(f"{SHARED_OBJECTS}/{path.name}", path.resolve(), 0o755)


def _missing(name: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"the shared object {name}, which Python needs, is not on this machine",
        code="SHARED-OBJECT-MISSING",
        why="ldd says: not found",
        remedy="reinstall Python, or use another one to create the virtual environment",
    )
