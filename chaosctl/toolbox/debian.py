"""Programs from Debian packages, unpacked into the cache and never installed.

apt checks every package against the signed lists of the distribution.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chaosctl.adapters import process
from chaosctl.errors import ChaosctlError
from chaosctl.events import Step
from chaosctl.toolbox.growth import growing
from chaosctl.toolbox.sources import Context, Delivery, attempt
from chaosctl.toolbox.table import Bundle
from chaosctl.toolbox.trouble import SourceFailed, writing

PATIENCE = ("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10")
UNSANDBOXED = ("-o", "APT::Sandbox::User=root")  # apt's own user cannot write into the cache
OLD_LISTS = re.compile(
    r"Unable to locate package|has no installation candidate|Can't (find|select)|404|Failed to fetch"
)
ROUNDS = 4  # of looking for shared objects that other packages hold
SECONDS = 900.0


@dataclass(frozen=True)
class Deb:
    """A package file that apt would fetch; `size` in bytes."""

    package: str
    file: str
    size: int


class Debian:
    """apt downloads and verifies, dpkg-deb unpacks; shared objects that the system lacks come along."""

    origin = "Debian package"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._root = context.store.root / "apt"
        self._lists: tuple[str, ...] = ()  # options; none: the system's own lists of packages

    def obstacle(self, bundle: Bundle) -> str:
        """See Source."""
        if bundle.debs is None:
            return "no Debian package of it is recent enough"
        here = all(map(shutil.which, ("apt-get", "dpkg-deb", "ldd")))
        return "" if here else "this machine has no apt"

    def fetch(self, bundles: Sequence[Bundle], delivery: Delivery) -> None:
        """See Source."""
        store = self._context.store
        lock = store.lock("apt", self._context.emit)
        try:
            with writing(store.root):
                self._root.mkdir(parents=True, exist_ok=True)
                self._download([package for b in bundles if b.debs for package in b.debs.packages])
                for bundle in bundles:
                    attempt(bundle, delivery, partial(self._unpack, bundle))
                shutil.rmtree(self._root, ignore_errors=True)
        except ChaosctlError as error:
            for bundle in bundles:
                delivery.failed(bundle, error)
        finally:
            lock.release()

    def _download(self, packages: Sequence[str]) -> list[Path]:
        """Fetch packages with the system's lists, and when these are empty or old, with new ones of our own."""
        try:
            return self._download_once(packages)
        except process.CommandFailed as error:
            if self._lists or not OLD_LISTS.search(error.completed.stderr + error.completed.stdout):
                raise
        self._update()
        return self._download_once(packages)

    def _download_once(self, packages: Sequence[str]) -> list[Path]:
        debs = _listed(self._apt("download", "--print-uris", *packages).stdout)
        what = ", ".join(deb.package for deb in debs)
        with growing(f"Debian packages {what}", self._root, sum(deb.size for deb in debs), self._context.emit):
            self._apt("download", *packages)
        return [self._root / deb.file for deb in debs]

    def _update(self) -> None:
        self._context.emit(Step("reading Debian's lists of packages (into the cache, the system's stay as they are)"))
        places = {"Dir::State::Lists": self._root / "lists", "Dir::Cache": self._root / "cache"}
        for place in places.values():
            (place / "partial").mkdir(parents=True, exist_ok=True)
            (place / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        self._lists = tuple(word for name, place in places.items() for word in ("-o", f"{name}={place}/"))
        self._apt("update", check=False)  # one third-party list that fails does not matter; what is missing will tell

    def _apt(self, *words: str, check: bool = True) -> process.Completed:
        command = ["apt-get", "-q", *PATIENCE, *UNSANDBOXED, *self._lists, *words]
        return process.run(command, env={"LC_ALL": "C"}, cwd=self._root, timeout=SECONDS, check=check)

    def _unpack(self, bundle: Bundle) -> None:
        assert bundle.debs is not None
        staging = self._context.store.stage(bundle)
        tree = staging / "root"
        debs = [self._file(package) for package in bundle.debs.packages]
        for deb in debs:
            process.run(["dpkg-deb", "-x", deb, tree], timeout=SECONDS)
        if bundle.debs.directory:
            _copy_directory(bundle, tree, staging / "bin")
            return
        programs = {tool: tree / member for tool, member in bundle.debs.members.items()}
        self._complete(tree, list(programs.values()), debs)
        _drop_documents(tree)
        for tool, program in programs.items():
            _place(staging / "bin" / tool, program, _library_directories(tree, staging))

    def _complete(self, tree: Path, programs: Sequence[Path], debs: Sequence[Path]) -> None:
        """Unpack, next to the programs, the libraries that the system lacks: what the packages depend on."""
        for _ in range(ROUNDS):
            missing = {name for program in programs for name in _missing(program, tree)}
            if not missing:
                return
            wanted = sorted({d for deb in debs for d in _depends(deb) if d.startswith("lib") and not _installed(d)})
            debs = self._download(wanted) if wanted else []
            for deb in debs:
                process.run(["dpkg-deb", "-x", deb, tree], timeout=SECONDS)
        raise SourceFailed(
            f"{programs[0].name} from its Debian package lacks shared objects", why=", ".join(sorted(missing))
        )

    def _file(self, package: str) -> Path:
        return next(self._root.glob(f"{package}_*.deb"))


def _listed(uris: str) -> list[Deb]:
    """What `apt-get download --print-uris` says: lines of 'URI' file size hash."""
    found = re.findall(r"^'[^']+' (\S+) (\d+) \S+", uris, re.MULTILINE)
    return [Deb(file.split("_")[0], file, int(size)) for file, size in found]


def _depends(deb: Path) -> list[str]:
    """Names of the packages that a package needs, the first of each set of alternatives."""
    text = process.run(["dpkg-deb", "-f", deb, "Depends"]).stdout
    return [re.split(r"[\s:(|]", item.strip(), maxsplit=1)[0] for item in text.split(",") if item.strip()]


def _installed(package: str) -> bool:
    done = process.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package], check=False)
    return "not-installed" not in done.stdout and "installed" in done.stdout


def _missing(program: Path, tree: Path) -> list[str]:
    env = {"LD_LIBRARY_PATH": ":".join(str(tree / d) for d in _library_directories(tree, tree)), "LC_ALL": "C"}
    listed = process.run(["ldd", program], env=env, check=False).stdout
    return re.findall(r"^\s*(\S+) => not found", listed, re.MULTILINE)


def _library_directories(tree: Path, base: Path) -> list[Path]:
    """Directories that hold shared objects, relative to `base`."""
    return sorted({p.parent.relative_to(base) for p in tree.rglob("*.so.*") if p.is_file()})


def _copy_directory(bundle: Bundle, tree: Path, binaries: Path) -> None:
    assert bundle.debs is not None
    ((tool, member),) = bundle.debs.members.items()
    (binaries / tool).mkdir()
    for name in bundle.debs.directory:
        shutil.copy2(tree / member / name, binaries / tool / name)
    shutil.rmtree(tree)


def _drop_documents(tree: Path) -> None:
    for path in [tree / "etc", tree / "var", tree / "usr" / "share"]:
        shutil.rmtree(path, ignore_errors=True)


def _place(target: Path, program: Path, libraries: Sequence[Path]) -> None:
    """Put `program` at `target`, or, when it needs `libraries` beside it, a script that starts it with them.

    The script finds itself by the path that it was called with, without starting another process for that.
    """
    if not libraries:
        program.rename(target)
        return
    bundle = target.parent.parent
    found = ":".join(f"$here/{directory}" for directory in libraries)
    target.write_text(
        "#!/bin/sh\n"
        'here="${0%/*}/.."\n'
        f'export LD_LIBRARY_PATH="{found}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"\n'
        f'exec "$here/{program.relative_to(bundle)}" "$@"\n'
    )
    target.chmod(0o755)
