"""Programs from Debian packages, unpacked into the cache and never installed.

apt checks every package against the signed lists of the distribution.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from chaosctl.adapters import process
from chaosctl.errors import ChaosctlError
from chaosctl.events import Step
from chaosctl.toolbox import versions
from chaosctl.toolbox.growth import growing
from chaosctl.toolbox.sources import Context, Delivery, attempt
from chaosctl.toolbox.table import Bundle, Debs
from chaosctl.toolbox.trouble import SourceFailed, unreachable, writing

PATIENCE = ("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10")
UNSANDBOXED = ("-o", "APT::Sandbox::User=root")  # apt's own user cannot write into the cache
OLD_LISTS = re.compile(r"Unable to locate|No packages found|no installation candidate|404|Failed to fetch")
SECONDS = 900.0
NO_SERVER = "no server with Debian packages can be reached"


class _Refused(SourceFailed):
    """apt cannot get at least one of the packages that it was asked for."""


class Debian:
    """apt downloads and verifies, dpkg-deb unpacks; shared objects that the system lacks come along."""

    origin = "Debian package"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._root = context.store.root / "apt"
        self._lists: tuple[str, ...] = ()  # options; none: the system's own lists of packages
        self._offline = False

    def offers(self, bundle: Bundle) -> bool:
        return bundle.debs is not None

    def obstacle(self, bundle: Bundle) -> str:
        here = all(map(shutil.which, ("apt-get", "apt-cache", "dpkg-deb")))
        return "" if here else "this machine has no apt"

    def fetch(self, bundles: Sequence[Bundle], delivery: Delivery) -> None:
        lock = self._context.lock("apt")
        try:
            if self._supply(bundles, delivery):
                shutil.rmtree(self._root, ignore_errors=True)
        finally:
            lock.release()

    def _supply(self, bundles: Sequence[Bundle], delivery: Delivery) -> bool:
        """All packages in one go; when apt fails bundle by bundle, for one package must not cost them all.

        Returns whether all packages could be fetched.
        """
        try:
            with writing(self._root):
                self._root.mkdir(parents=True, exist_ok=True)
                parts = self._with_fresh_lists(partial(self._download, [b.debs for b in bundles if b.debs]))
                for bundle, packages in zip(bundles, parts, strict=True):
                    attempt(bundle, delivery, partial(self._unpack, bundle, packages))
            return True
        except ChaosctlError as error:
            if isinstance(error, _Refused) and len(bundles) > 1:
                fetched = [self._supply([bundle], delivery) for bundle in bundles]
                return all(fetched)
            for bundle in bundles:
                delivery.failed(bundle, error)
            return False

    def _with_fresh_lists(self, work: Callable[[], list[list[str]]]) -> list[list[str]]:
        """Work with the system's lists of packages, and when these are empty or old, with new ones of our own."""
        try:
            return work()
        except process.CommandFailed as error:
            said = error.completed.stderr + error.completed.stdout
            if self._lists or unreachable(said) or not OLD_LISTS.search(said):
                raise self._refused(said) from error
        self._update()
        try:
            return work()
        except process.CommandFailed as error:
            raise self._refused(error.why) from error

    def _refused(self, said: str) -> ChaosctlError:
        if self._offline or unreachable(said):
            return _Refused(NO_SERVER)
        return _Refused("apt cannot get the packages", why=said.strip())

    def _download(self, wanted: Sequence[Debs]) -> list[list[str]]:
        """Fetch all packages, and answer for each of `wanted` which ones it consists of."""
        needs = self._needs({package for debs in wanted for package in debs.packages})
        self._apt_download(sorted(needs))
        return [closure(debs.packages, needs) for debs in wanted]

    def _needs(self, packages: set[str]) -> dict[str, list[str]]:
        """The packages, and the libraries below them that the system lacks, each with those that it needs itself."""
        present, needs, new = _installed(), dict[str, list[str]](), packages
        while new:
            needs |= libraries(self._apt("apt-cache", "show", "--no-all-versions", *sorted(new)).stdout, present)
            needs |= {name: [] for name in new - needs.keys()}  # unknown: the download will say so
            new = {name for names in needs.values() for name in names} - needs.keys()
        return needs

    def _apt_download(self, packages: Sequence[str]) -> None:
        uris = self._apt("apt-get", "download", "--print-uris", *packages).stdout
        self._require_server(uris)
        total = sum(sizes(uris))
        with growing(f"{len(packages)} Debian packages", self._root, total, self._context.emit):
            self._apt("apt-get", "download", *packages)

    def _update(self) -> None:
        self._context.emit(Step("reading Debian's lists of packages (into the cache, the system's stay as they are)"))
        places = {"Dir::State::Lists": self._root / "lists", "Dir::Cache": self._root / "cache"}
        for place in places.values():
            (place / "partial").mkdir(parents=True, exist_ok=True)
            (place / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        self._lists = tuple(word for name, place in places.items() for word in ("-o", f"{name}={place}/"))
        self._require_server(self._apt("apt-get", "update", "--print-uris").stdout)
        done = self._apt("apt-get", "update", check=False)  # one publisher's list may fail: the packages will tell
        self._offline = unreachable(done.stderr + done.stdout)

    def _require_server(self, uris: str) -> None:
        """Fail at once when none of the servers answers: apt would wait for each file in turn."""
        servers = re.findall(r"^'(https?://[^/']+)", uris, re.MULTILINE)
        if not servers or process.run(["apt-config", "dump", "Acquire::http::Proxy"], check=False).stdout:
            return
        self._context.reach.probe(servers)
        if not any(map(self._context.reach.reachable, servers)):
            raise SourceFailed(NO_SERVER)

    def _apt(self, program: str, *words: str, check: bool = True) -> process.Completed:
        index = f"Dir::Cache::pkgcache={self._root}/pkgcache.bin"  # spares the next call a second of reading lists
        command = [program, "-q", "-o", index, *PATIENCE, *UNSANDBOXED, *self._lists, *words]
        return self._run(command, env={"LC_ALL": "C"}, cwd=self._root, check=check)

    def _run(self, command: Sequence[str | Path], **options: Any) -> process.Completed:
        return process.run(command, timeout=SECONDS, cancellation=self._context.cancellation, **options)

    def _unpack(self, bundle: Bundle, packages: Sequence[str]) -> str:
        assert bundle.debs is not None
        staging = self._context.store.stage(bundle)
        tree = staging / "root"
        for package in packages:
            self._run(["dpkg-deb", "-x", self._file(package), tree])
        if bundle.debs.directory:
            _copy_directory(bundle, tree, staging / "bin")
            return self._version(bundle.debs.packages[0])
        _drop_documents(tree)
        directories = _library_directories(tree, staging)
        for tool, member in bundle.debs.members.items():
            _place(staging / "bin" / tool, tree / member, directories)
        return ""

    def _version(self, package: str) -> str:
        """The upstream part of the version of a package that was fetched."""
        return versions.parse(self._file(package).name.removeprefix(package), r"_(?:\d+%3a)?(\d[\d.]*\d)")

    def _file(self, package: str) -> Path:
        """Where apt put a package; of several, which a killed run may have left, the newest."""
        return max(self._root.glob(f"{package}_*.deb"), key=lambda file: file.stat().st_mtime)


def sizes(uris: str) -> list[int]:
    """Bytes of each file that `apt-get download --print-uris` names, in lines of 'URI' file size hash."""
    return [int(size) for size in re.findall(r"^'[^']+' \S+ (\d+)", uris, re.MULTILINE)]


def libraries(shown: str, present: set[str]) -> dict[str, list[str]]:
    """From what `apt-cache show` prints: each package with the lib* packages that it depends on and that are absent.

    Of alternatives (a | b) the first is taken, unless one of them is present.
    """
    needs = {}
    for paragraph in shown.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Depends|Pre-Depends): (.+)$", paragraph, re.MULTILINE))
        if name := fields.pop("Package", ""):
            items = ",".join(fields.values()).split(",")
            choices = [re.findall(r"(?:^|\|)\s*([a-z0-9.+-]+)", item) for item in items]
            absent = [names[0] for names in choices if names and not present.intersection(names)]
            needs[name] = [n for n in absent if n.startswith("lib")]
    return needs


def closure(packages: Sequence[str], needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The packages and all that they need, directly or not."""
    found = list(packages)
    for package in found:  # grows while it is walked
        found += [name for name in needs[package] if name not in found]
    return found


def _installed() -> set[str]:
    """Names of the packages that the system has."""
    listed = process.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"], check=False).stdout
    return {line.split()[1] for line in listed.splitlines() if line.startswith("installed ")}


def _library_directories(tree: Path, base: Path) -> list[Path]:
    """Directories below `tree` that hold shared objects, relative to `base`."""
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


def _place(target: Path, program: Path, directories: Sequence[Path]) -> None:
    """Put `program` at `target`, or, when it needs libraries from `directories`, a script that starts it with them.

    The script finds itself by the path that it was called with, without starting another process for that.
    """
    if not directories:
        program.rename(target)
        return
    bundle = target.parent.parent
    found = ":".join(f"$here/{directory}" for directory in directories)
    target.write_text(
        "#!/bin/sh\n"
        'here="${0%/*}/.."\n'
        f'export LD_LIBRARY_PATH="{found}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"\n'
        f'exec "$here/{program.relative_to(bundle)}" "$@"\n'
    )
    target.chmod(0o755)
