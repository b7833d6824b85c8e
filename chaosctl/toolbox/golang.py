"""Programs built from source with Go: one `go build` for all that come from the same committed module.

Compiled packages go into a cache of their own, which is dropped when the build succeeded and kept when it did not, so
that the next run carries on. Modules go into the user's module cache where there is one.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from chaosctl.adapters import process
from chaosctl.errors import ChaosctlError
from chaosctl.events import Transfer
from chaosctl.toolbox import versions
from chaosctl.toolbox.download import REPORT_EVERY
from chaosctl.toolbox.sources import Context, Delivery
from chaosctl.toolbox.table import KUBERNETES, OLDEST_GO, Bundle
from chaosctl.toolbox.trouble import SourceFailed, full_disk, no_space, writing
from chaosctl.waiting import Cancelled, heartbeat

SPACE = 5 << 30  # bytes: caches of the build (2.6 GB) and, without a module cache, the modules (2.1 GB)
SCANT = 1 << 30  # bytes
HERE = Path(__file__).resolve().parent


def _linker_flags() -> str:
    """Smaller programs that know their version, as the official builds do."""
    major, minor, _ = KUBERNETES.split(".")
    version = "k8s.io/component-base/version"
    facts = {
        f"{version}.gitVersion": f"v{KUBERNETES}",
        f"{version}.gitMajor": major,
        f"{version}.gitMinor": minor,
        "k8s.io/client-go/pkg/version.gitVersion": f"v{KUBERNETES}",
        "github.com/hashicorp/terraform/version.dev": "no",
    }
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in facts.items())])


class GoBuild:
    """Builds what the committed modules pin; sums of all sources are in their go.sum."""

    origin = "Go build"
    _facts: ClassVar[tuple[str, ...]] = ("GOPROXY", "GOMODCACHE", "GOVERSION")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._reach = context.reach
        self._root = context.store.root / "go"
        self._known: dict[str, str] | None = None

    def offers(self, bundle: Bundle) -> bool:
        return bundle.go is not None

    def obstacle(self, bundle: Bundle) -> str:
        facts = self._go()
        if not facts:
            return f"there is no Go on the PATH, {OLDEST_GO} or newer is needed"
        version = versions.parse(facts["GOVERSION"], r"go(\d+\.\d+(?:\.\d+)?)")
        if version and versions.as_tuple(version) < versions.as_tuple(OLDEST_GO):
            return f"Go {version} is too old, {OLDEST_GO} or newer is needed"
        if not self._online() and not (Path(facts["GOMODCACHE"]) / "cache" / "download").is_dir():
            return f"nothing that GOPROXY names can be reached ({facts['GOPROXY']})"
        return ""

    def fetch(self, bundles: Sequence[Bundle], delivery: Delivery) -> None:
        lock = self._context.lock("go")
        try:
            for module in sorted({b.go.module for b in bundles if b.go}):
                self._module(module, [b for b in bundles if b.go and b.go.module == module], delivery)
        finally:
            lock.release()

    def _module(self, module: str, bundles: Sequence[Bundle], delivery: Delivery) -> None:
        try:
            with writing(self._root):
                self._prepare()
                self._build(HERE / module, bundles)
                for bundle in bundles:
                    binaries = self._context.store.stage(bundle) / "bin"
                    (self._root / "out" / _program(bundle)).rename(binaries / bundle.name)
        except Cancelled:
            if shutil.disk_usage(self._root).free < SCANT:  # a full disk ended the run: this is most of what fills it
                self._clean()
            raise
        except ChaosctlError as error:
            if full_disk(error):
                self._clean()
            for bundle in bundles:
                delivery.failed(bundle, error)
            return
        for bundle in bundles:
            delivery.ready(bundle, bundle.version)
        self._clean()

    def _prepare(self) -> None:
        shutil.rmtree(self._root / "tmp", ignore_errors=True)  # a build that was killed leaves its own there
        for name in ("cache", "tmp", "out"):
            (self._root / name).mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._root).free
        if free < SPACE and not any((self._root / "cache").iterdir()):
            raise no_space(self._root, f"a build with Go needs {SPACE >> 30} GB, {free / (1 << 30):.1f} GB are free")

    def _build(self, module: Path, bundles: Sequence[Bundle]) -> None:
        packages = [b.go.package for b in bundles if b.go]
        what = f"building {_counted(bundles)} with Go"
        total = self._count(module, packages, _counted(bundles))
        counter = _Counter(what, total, len(packages), self._context)
        with heartbeat(what, counter.again):
            self._run(
                ["build", "-v", "-trimpath", "-ldflags", _linker_flags(), "-o", f"{self._root}/out/", *packages],
                module,
                counter,
            )

    def _count(self, module: Path, packages: Sequence[str], what: str) -> int:
        """How many packages the build compiles. Fetches their modules, which takes minutes the first time."""
        listed = _Lines()
        with heartbeat(f"the sources of {what}", self._context.emit, lambda: listed.note):
            self._run(["list", "-deps", *packages], module, listed)
        return listed.packages

    def _run(self, words: Sequence[str], module: Path, on_line: _Lines) -> None:
        done = process.stream(
            ["go", *words],
            on_line,
            env=self._environment(),
            cwd=module,
            merge=True,
            cancellation=self._context.cancellation,
        )
        if done.status != 0:
            raise SourceFailed(f"`go {words[0]}` failed", why=_trouble(done.stdout))

    def _environment(self) -> dict[str, str]:
        facts = self._go()
        flags, env = ["-buildvcs=false", "-mod=readonly"], {}
        if not Path(facts["GOMODCACHE"]).is_dir():
            flags.append("-modcacherw")  # or the directory could not be dropped afterwards
            env["GOMODCACHE"] = str(self._root / "modules")
        if not self._online():
            env["GOPROXY"] = "off"  # fails at once on what the module cache lacks
        return env | {
            "GOFLAGS": " ".join(flags),
            "GOCACHE": str(self._root / "cache"),
            "GOTMPDIR": str(self._root / "tmp"),
            "GOWORK": "off",
            "GOTOOLCHAIN": os.environ.get("GOTOOLCHAIN", "auto"),
            "CGO_ENABLED": "0",
        }

    def _go(self) -> dict[str, str]:
        """What `go env` says, or {} without Go."""
        if self._known is None:
            self._known = {}
            if shutil.which("go"):
                answer = process.run(["go", "env", *self._facts], cwd=HERE.parent, check=False, timeout=30)
                values = answer.stdout.splitlines()
                self._known = dict(zip(self._facts, values, strict=True)) if len(values) == len(self._facts) else {}
        return self._known

    def _online(self) -> bool:
        """Whether GOPROXY leads to modules besides those in the cache.

        What follows a comma is asked only where the one before it answers that it has not got a module; what follows a
        bar also where that does not answer.
        """
        firsts = [group.partition(",")[0].strip() for group in self._go()["GOPROXY"].split("|")]
        self._reach.probe(filter(None, map(_server, firsts)))
        return any(map(self._serves, firsts))

    def _serves(self, proxy: str) -> bool:
        if proxy.startswith("file://"):
            return Path(unquote(urlsplit(proxy).path)).is_dir()
        if proxy == "direct" and not shutil.which("git"):
            return False
        server = _server(proxy)
        return bool(server) and self._reach.reachable(server)

    def _clean(self) -> None:
        """Drop gigabytes in a hundred thousand files, which takes up to a minute."""
        with heartbeat("the sources and objects of the build to be deleted", self._context.emit):
            shutil.rmtree(self._root, ignore_errors=True)


class _Lines:
    """Counts the packages in what go prints; `note` is its last remark about something else."""

    def __init__(self) -> None:
        self.packages = 0
        self.note = ""

    def __call__(self, line: str) -> None:
        if line.startswith("go: "):
            self.note = line.removeprefix("go: ")
        elif line and " " not in line:
            self.packages += 1


class _Counter(_Lines):
    """Turns the packages that `go build -v` names into Transfer events, a few a second."""

    def __init__(self, what: str, total: int, programs: int, context: Context) -> None:
        super().__init__()
        self._what, self._total, self._programs, self._context = what, total, programs, context
        self._began, self._said = time.monotonic(), 0.0

    def __call__(self, line: str) -> None:
        super().__call__(line)
        if time.monotonic() - self._said >= REPORT_EVERY:
            self.again()

    def again(self, _: object = None) -> None:
        """Say how far it is, also when nothing new was compiled."""
        self._said = time.monotonic()
        rate = self.packages / max(self._said - self._began, 1e-6)
        left = max(self._total - self.packages, 0)
        linking = left <= self._programs  # takes long, and says nothing: no guess is better than 0 s
        remaining = None if linking or not rate else left / rate
        self._context.emit(Transfer(self._what, self.packages, self._total, remaining, "packages"))


def _server(proxy: str) -> str:
    """The URL that an entry of GOPROXY needs: its own; for `direct` where most of the modules are at home."""
    if proxy == "direct":
        return "https://github.com"
    return proxy if proxy.startswith(("http://", "https://")) else ""


def _counted(bundles: Sequence[Bundle]) -> str:
    return bundles[0].name if len(bundles) == 1 else f"{len(bundles)} programs"


def _program(bundle: Bundle) -> str:
    """The file name that go gives a program: the last part of its path that is not a major version."""
    assert bundle.go is not None
    parts = bundle.go.package.split("/")
    return parts[-2] if re.fullmatch(r"v\d+", parts[-1]) else parts[-1]


def _trouble(output: str) -> str:
    """The last lines that are not mere package names."""
    return "\n".join([line for line in output.splitlines() if " " in line][-15:])
