"""What a source of tools is, and the simplest one: the publishers' own downloads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from chaosctl.errors import ChaosctlError
from chaosctl.events import Emit, Warned
from chaosctl.toolbox import unpack
from chaosctl.toolbox.download import Downloader, published
from chaosctl.toolbox.reach import Reach
from chaosctl.toolbox.store import Store, architecture
from chaosctl.toolbox.table import Bundle, Download
from chaosctl.toolbox.trouble import SourceFailed, writing
from chaosctl.waiting import Cancellation

if TYPE_CHECKING:
    from filelock import BaseFileLock

PARALLEL = 4  # downloads at once


@dataclass(frozen=True)
class Context:
    """What every source works with. `cancellation` is set when the run is interrupted, or cannot succeed any more."""

    store: Store
    emit: Emit
    cancellation: Cancellation
    reach: Reach

    def lock(self, name: str) -> BaseFileLock:
        """Hold the lock that this source shares with other runs. Raises Cancelled."""
        return self.store.lock(name, self.emit, self.cancellation)


class Delivery(Protocol):
    """Takes what a source made, bundle by bundle."""

    def ready(self, bundle: Bundle, version: str) -> None:
        """The bundle's staging directory holds bin/<tool> for each of its tools. `version`: "" to ask the tools."""

    def failed(self, bundle: Bundle, error: ChaosctlError) -> None:
        """This source cannot supply the bundle."""


class Source(Protocol):
    """A place from which tools come."""

    origin: str

    def offers(self, bundle: Bundle) -> bool:
        """Whether the table knows the bundle to be had from here."""

    def obstacle(self, bundle: Bundle) -> str:
        """Why this source cannot supply a bundle that it offers here and now; "" when it may."""

    def fetch(self, bundles: Sequence[Bundle], delivery: Delivery) -> None:
        """Stage the bundles, and report each of them to `delivery` as soon as it is known how it went.

        Raises Cancelled as soon as the context's `cancellation` is set; then some of them are never reported.
        """


def attempt(bundle: Bundle, delivery: Delivery, work: Callable[[], str]) -> None:
    """Stage one bundle by `work`, which returns its version, and report how it went."""
    try:
        version = work()
    except ChaosctlError as error:
        delivery.failed(bundle, error)
    else:
        delivery.ready(bundle, version)


class Downloads:
    """The publishers' own files, or their copies on a mirror."""

    origin = "download"

    def __init__(self, context: Context, mirror: str, refused: bool) -> None:
        self._context = context
        self._reach = context.reach
        self._refused = refused
        self._mirror = mirror
        self._http = Downloader(context.store.downloads, mirror, context.reach, context.emit, context.cancellation)

    def offers(self, bundle: Bundle) -> bool:
        return bundle.download is not None

    def obstacle(self, bundle: Bundle) -> str:
        assert bundle.download is not None
        if self._refused:
            return "downloads are switched off (toolbox.packages_only)"
        arch = architecture()
        if arch not in ("amd64", "arm64"):
            return f"its publisher is not asked for {arch}"
        url = self._http.source(bundle.download.url)
        return "" if self._reach.reachable(url) else f"{url.split('/')[2]} cannot be reached"

    def probe(self, bundles: Sequence[Bundle]) -> None:
        """Find out, once and for all hosts together, which of them answer."""
        if not self._refused:
            files = [b.download for b in bundles if b.download]
            lists = [f.checksums for f in files if architecture() not in f.sha256]
            self._reach.probe([*(self._http.source(f.url) for f in files), *filter(None, lists)])

    def fetch(self, bundles: Sequence[Bundle], delivery: Delivery) -> None:
        try:
            with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
                list(pool.map(lambda b: attempt(b, delivery, partial(self._one, b)), bundles))
        finally:
            self._http.close()

    def _one(self, bundle: Bundle) -> str:
        assert bundle.download is not None
        pinned, url = bundle.download, bundle.download.url.format(arch=architecture())
        file = self._http.file(url, f"{bundle.name} {bundle.version}", digest=self._digest(pinned, url))
        binaries = self._context.store.stage(bundle) / "bin"
        with writing(self._context.store.root):
            if "" in pinned.members.values():
                with file.open("rb") as source:
                    unpack.write(source, binaries / bundle.name)
            else:
                unpack.extract(file, _wanted(pinned, binaries))
            file.unlink()
        return bundle.version

    def _digest(self, pinned: Download, url: str) -> str:
        known = pinned.sha256.get(architecture())
        if known:
            return known
        name = url.rsplit("/", 1)[-1]
        place = pinned.checksums.format(arch=architecture())
        found = published(self._checksums(place, name), name) if place else ""
        if not found:
            raise SourceFailed(f"no checksum is known for {name}", why=f"{place or 'the table'} has none")
        return found

    def _checksums(self, place: str, name: str) -> str:
        """The publisher's checksum file, from the publisher: a mirror cannot vouch for itself.

        From the mirror only where the publisher does not answer, and not without saying so.
        """
        try:
            return self._http.text(place)
        except SourceFailed as error:
            if not self._mirror:
                raise
            text = self._http.text(self._http.source(place))
            self._context.emit(
                Warned(
                    f"the mirror itself vouches for {name}: its publisher's checksum cannot be had ({error.why})",
                    f"let this machine reach {place}, or trust {self._mirror}",
                )
            )
            return text


def _wanted(pinned: Download, binaries: Path) -> dict[str, Path]:
    if not pinned.directory:
        return {member.format(arch=architecture()): binaries / tool for tool, member in pinned.members.items()}
    ((tool, member),) = pinned.members.items()
    return {f"{member}{name}": binaries / tool / name for name in pinned.directory}
