"""What a source of tools is, and the simplest one: the publishers' own downloads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from chaosctl.errors import ChaosctlError
from chaosctl.events import Emit
from chaosctl.toolbox import unpack
from chaosctl.toolbox.download import Downloader, published
from chaosctl.toolbox.reach import Reach
from chaosctl.toolbox.store import Store, architecture
from chaosctl.toolbox.table import Bundle, Download
from chaosctl.toolbox.trouble import SourceFailed, writing

PARALLEL = 4  # downloads at once


@dataclass(frozen=True)
class Context:
    """What every source works with. `cancelled` is set when the run is interrupted."""

    store: Store
    emit: Emit
    cancelled: threading.Event
    reach: Reach


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
        """Stage the bundles, and report each of them to `delivery` as soon as it is known how it went."""


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
        self._http = Downloader(context.store.downloads, mirror, context.reach, context.emit, context.cancelled)

    def offers(self, bundle: Bundle) -> bool:
        """See Source."""
        return bundle.download is not None

    def obstacle(self, bundle: Bundle) -> str:
        """See Source."""
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
            self._reach.probe(self._http.source(b.download.url) for b in bundles if b.download)

    def fetch(self, bundles: Sequence[Bundle], delivery: Delivery) -> None:
        """See Source."""
        with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
            list(pool.map(lambda b: attempt(b, delivery, partial(self._one, b)), bundles))
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
        found = published(self._http.text(place), name) if place else ""
        if not found:
            raise SourceFailed(f"no checksum is known for {name}", why=f"{place or 'the table'} has none")
        return found


def _wanted(pinned: Download, binaries: Path) -> dict[str, Path]:
    if not pinned.directory:
        return {member.format(arch=architecture()): binaries / tool for tool, member in pinned.members.items()}
    ((tool, member),) = pinned.members.items()
    return {f"{member}{name}": binaries / tool / name for name in pinned.directory}
