"""The user's kubeconfig: our entries come and go, everything else in it keeps its bytes.

Which of several files is written, and the lock beside it, are as kubectl does it (k8s.io/client-go, clientcmd), so that
both can be used at the same time.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from filelock import SoftFileLock, Timeout
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from chaosctl.errors import Busy, PreconditionFailed

LISTS = {"clusters": "cluster", "users": "user", "contexts": "context"}
LOCK_SECONDS = 4.0  # others hold it for milliseconds
TURN_SECONDS, TURN_INTERVAL = 60.0, 0.1  # for as many as may be before us
EMPTY = "apiVersion: v1\nkind: Config\npreferences: {}\n"


@dataclass(frozen=True)
class Entry:
    """A cluster, a user and a context, all called `name`.

    server, ca    URL of the API server and its certificate authority (base64 of PEM)
    user          what the user entry holds: {"exec": {...}} or {"tokenFile": ...}; never a secret itself
    """

    name: str
    server: str
    ca: str
    user: Mapping[str, Any]
    namespace: str = ""

    def parts(self) -> dict[str, dict[str, Any]]:
        """The three objects as they stand in a kubeconfig, by the name of their list."""
        context = {"cluster": self.name, "user": self.name}
        if self.namespace:
            context["namespace"] = self.namespace
        cluster = {"server": self.server, "certificate-authority-data": self.ca}
        return {
            "clusters": {"name": self.name, "cluster": cluster},
            "users": {"name": self.name, "user": dict(self.user)},
            "contexts": {"name": self.name, "context": context},
        }


def files(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """The user's kubeconfig files in kubectl's order: those of KUBECONFIG, else ~/.kube/config."""
    named = [Path(p) for p in environment.get("KUBECONFIG", "").split(os.pathsep) if p]
    if named:
        return list(dict.fromkeys(named))
    try:
        return [Path.home() / ".kube" / "config"]
    except RuntimeError as error:  # no HOME, and a user that the machine does not know
        raise _forbidden(Path("~/.kube/config"), str(error)) from error


def file_for(name: str, candidates: Sequence[Path]) -> Path:
    """The file to write: the one that has the entry already, else the first that exists, else the last."""
    existing = [path for path in candidates if path.exists()]
    for path in existing:
        if _has(_parse(_read(path), path), name):
            return path
    return existing[0] if existing else candidates[-1]


def write(path: Path, entry: Entry, *, switch: bool = False) -> bool:
    """Add or update our entries in `path`; with `switch` make them the current context. False: nothing to do."""
    return _edit(path, lambda text: upsert(text, entry, switch=switch))


def remove(path: Path, name: str) -> bool:
    """Take our entries out of `path`, and current-context if it is ours. False: there were none."""
    if not path.exists():
        return False
    return _edit(path, lambda text: without(text, name))


def has(path: Path, name: str) -> bool:
    """Whether the file has our entries of that name. A file that does not exist has none."""
    return _has(_parse(_read(path), path), name)


def _edit(path: Path, change: Callable[[str], str]) -> bool:
    real = path.resolve()  # a symlink stays one; what it points to is replaced
    if real.exists() and not real.is_file():  # /dev/null for example: root could replace even that
        raise _forbidden(path, "it is not a regular file")
    try:
        return _edit_file(path, real, change)
    except OSError as error:
        raise _forbidden(path, str(error)) from error


def _edit_file(path: Path, real: Path, change: Callable[[str], str]) -> bool:
    real.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _in_turn(real), _locked(real):
        before = _read(real)
        try:
            after = change(before)
        except YAMLError as error:
            raise _malformed(path, str(error)) from error
        if after == before:
            return False
        _replace(real, after)
    return True


@contextmanager
def _in_turn(path: Path) -> Iterator[None]:
    """Let other chaosctls finish first, by a lock on the directory: the kernel frees it when its holder dies.

    Else many at once would race for the lock below, which has no queue, until some give up.
    """
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        deadline = time.monotonic() + TURN_SECONDS
        while not _claimed(directory) and time.monotonic() < deadline:
            time.sleep(TURN_INTERVAL)
        yield
    finally:
        os.close(directory)


def _claimed(directory: int) -> bool:
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without such locks: the one below has to do
        return True
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = SoftFileLock(f"{path}.lock", timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise Busy(
            f"{path} is locked by another program",
            code="KUBECONFIG-LOCKED",
            why=f"{path}.lock has been there for {LOCK_SECONDS:.0f} s",
            remedy=f"if no kubectl or chaosctl is running, remove {path}.lock",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise _malformed(path, str(error)) from error


def _replace(path: Path, text: str) -> None:
    """Put `text` in the place of `path` in one step: a reader sees the old file or the new one. Mode 0600."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        _keep_owner(path, Path(temporary))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _keep_owner(path: Path, temporary: Path) -> None:
    """Under sudo the file still belongs to the user afterwards."""
    if path.exists() and os.geteuid() == 0:
        os.chown(temporary, path.stat().st_uid, path.stat().st_gid)


def _forbidden(path: Path, why: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"the kubeconfig {path} cannot be written",
        code="KUBECONFIG-READONLY",
        why=why,
        remedy="set KUBECONFIG to a file that can be written, then run the same command again",
    )


def _malformed(path: Path, why: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"the kubeconfig {path} cannot be read",
        code="KUBECONFIG-MALFORMED",
        why=why,
        remedy="correct it or move it away; nothing was written",
    )


def _parse(text: str, path: Path) -> Any:
    try:
        return _load(text)
    except YAMLError as error:
        raise _malformed(path, str(error)) from error


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 20
    return yaml


def _load(text: str) -> Any:
    data = _yaml().load(text)
    if data is None:
        return CommentedMap()
    if not isinstance(data, CommentedMap):
        raise YAMLError("it is not a mapping")
    return data


def _has(data: Any, name: str) -> bool:
    return any(_index(data.get(key), name) is not None for key in LISTS)


def _index(items: Any, name: str) -> int | None:
    return next((i for i, item in enumerate(items or ()) if item.get("name") == name), None)


def upsert(text: str, entry: Entry, *, switch: bool = False) -> str:
    """`text` of a kubeconfig with our entries in it. Other lines keep their bytes."""
    text = _with_items(text if text.strip() else EMPTY, entry.name, entry.parts())
    return _with_current(text, entry.name) if switch else text


def without(text: str, name: str) -> str:
    """`text` of a kubeconfig without our entries."""
    text = _with_items(text, name, dict.fromkeys(LISTS))
    return _with_current(text, "") if _load(text).get("current-context") == name else text


def _with_current(text: str, name: str) -> str:
    data = _load(text)
    if data.get("current-context") == name:
        return text
    if "current-context" in data:
        line = data.lc.key("current-context")[0]
        lines = text.splitlines(keepends=True)
        lines[line] = f"current-context: {name or chr(34) * 2}\n"
        spliced = "".join(lines)
    else:
        spliced = text + ("" if text.endswith("\n") else "\n") + f"current-context: {name}\n"
    data["current-context"] = name
    return _checked(spliced, data)


def _with_items(text: str, name: str, wanted: Mapping[str, dict[str, Any] | None]) -> str:
    """`text` with this item of that name in each of the lists (None: without one)."""
    data = _load(text)
    spliced: str | None = text
    for key in sorted(LISTS, key=lambda key: _line(data, key), reverse=True):  # what stands above keeps its line
        index, item = _index(data.get(key), name), wanted[key]
        if item != (None if index is None else data[key][index]):
            spliced = None if spliced is None else _splice(spliced, data, key, index, item)
            _put(data, key, index, item)
    return text if spliced == text else _checked(spliced, data)


def _line(data: Any, key: str) -> int:
    """Where a top-level key stands, from 0; -1 when it is missing."""
    return int(data.lc.key(key)[0]) if key in data else -1


def _put(data: Any, key: str, index: int | None, item: dict[str, Any] | None) -> None:
    """Replace item `index` of the list `key` (None: append) by `item` (None: delete it)."""
    items = data.get(key)
    if not isinstance(items, CommentedSeq):  # missing, or `clusters: null`
        items = data[key] = CommentedSeq()
    if item is None:
        del items[index]
    elif index is None:
        items.append(item)
    else:
        items[index] = item


def _checked(spliced: str | None, expected: Any) -> str:
    """The spliced text if it means what it should; else (flow style, odd layout) the whole file written anew."""
    try:
        if spliced is not None and _load(spliced) == expected:
            return spliced
    except YAMLError:
        pass
    out = StringIO()
    _yaml().dump(expected, out)
    return out.getvalue()


def _splice(text: str, data: Any, key: str, index: int | None, item: dict[str, Any] | None) -> str | None:
    """Exchange only the lines of one list item; None when the list is not written one item under the other."""
    items = data.get(key)
    if not isinstance(items, CommentedSeq) or not items or items.fa.flow_style():
        return None
    lines = text.splitlines(keepends=True)
    starts = [items.lc.item(i)[0] for i in range(len(items))]
    ends = [*starts[1:], _end_of(data, key, lines)]
    indent = lines[starts[0]][: len(lines[starts[0]]) - len(lines[starts[0]].lstrip())]
    new = _item_lines(item, indent) if item is not None else []
    if item is None and len(items) == 1:
        return None  # the key would be left with nothing under it
    if index is None:
        first = last = ends[-1]
    else:
        first, last = starts[index], ends[index]
    if first and not lines[first - 1].endswith("\n"):
        lines[first - 1] += "\n"
    return "".join([*lines[:first], *new, *lines[last:]])


def _end_of(data: Any, key: str, lines: Sequence[str]) -> int:
    """The line after the last one of a top-level key."""
    start = data.lc.key(key)[0]
    later = [data.lc.key(k)[0] for k in data if data.lc.key(k)[0] > start]
    end = min(later, default=len(lines))
    while end > start + 1 and lines[end - 1].lstrip()[:1] in ("", "#"):  # comments before the next key are its own
        end -= 1
    return end


def _item_lines(item: Mapping[str, Any], indent: str) -> list[str]:
    out = StringIO()
    _yaml().dump([dict(item)], out)
    return [indent + line for line in out.getvalue().splitlines(keepends=True)]
