"""The cache of installed tools: whole or absent, safe when two runs want the same one.

toolbox/
  store/<bundle>-<fingerprint>/   bin/<tool>, receipt.json; appears by one rename, when complete and on disk
  staging/<bundle>/               being put together, under the bundle's lock
  downloads/                      files and .part files, kept until they are unpacked
  locks/                          one per bundle
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chaosctl.events import Emit, Waiting
from chaosctl.toolbox.table import Bundle
from chaosctl.toolbox.trouble import writing
from chaosctl.waiting import Cancellation

if TYPE_CHECKING:
    from filelock import BaseFileLock

RECEIPT = "receipt.json"
PATIENCE = 2.0  # seconds between two words about a lock that another run holds


def architecture() -> str:
    """This machine's architecture in the publishers' words: amd64, arm64, or what Python calls any other."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


@dataclass(frozen=True)
class Installed:
    """A bundle in the store."""

    version: str
    origin: str
    paths: dict[str, Path]


class Store:
    """Installed bundles below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.downloads = root / "downloads"

    def home(self, bundle: Bundle) -> Path:
        """Where the bundle is when installed; another version or another checksum is another place."""
        pins = repr((bundle.version, bundle.download, bundle.wheel, bundle.debs, bundle.go, architecture()))
        return self.root / "store" / f"{bundle.name}-{hashlib.sha256(pins.encode()).hexdigest()[:12]}"

    def installed(self, bundle: Bundle) -> Installed | None:
        """The bundle when it is there and every file has the size that the receipt says."""
        home = self.home(bundle)
        try:
            receipt = json.loads((home / RECEIPT).read_text())
            intact = all((home / name).stat().st_size == size for name, size in receipt["files"].items())
        except (OSError, ValueError, KeyError):
            return None
        if not intact:
            return None
        return Installed(receipt["version"], receipt["origin"], {t.name: home / "bin" / t.name for t in bundle.tools})

    def stage(self, bundle: Bundle) -> Path:
        """An empty directory to put the bundle together in. Only under its lock: what is there is a dead run's."""
        staging = self.root / "staging" / bundle.name
        with writing(self.root):
            shutil.rmtree(staging, ignore_errors=True)
            (staging / "bin").mkdir(parents=True)
        return staging

    def land(self, bundle: Bundle, origin: str, version: str) -> Installed:
        """Make the staged bundle the installed one: receipt, everything on disk, one rename."""
        staging, home = self.root / "staging" / bundle.name, self.home(bundle)
        files = [p for p in staging.rglob("*") if p.is_file() and not p.is_symlink()]
        receipt = {
            "version": version,
            "origin": origin,
            "files": {str(p.relative_to(staging)): p.stat().st_size for p in files},
        }
        with writing(self.root):
            (staging / RECEIPT).write_text(json.dumps(receipt, indent=1))
            for path in [*files, staging / RECEIPT]:
                _sync(path)
            home.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(home, ignore_errors=True)  # a damaged one
            staging.rename(home)
            _sync(home.parent)
        installed = self.installed(bundle)
        assert installed is not None
        return installed

    def drop_stage(self, bundle: Bundle) -> None:
        """Forget what was staged."""
        shutil.rmtree(self.root / "staging" / bundle.name, ignore_errors=True)

    def lock(self, name: str, emit: Emit, cancellation: Cancellation | None = None) -> BaseFileLock:
        """Hold the lock `name`; says so, again and again, while another run has it. The kernel frees a dead run's.

        Raises Cancelled when `cancellation` is set meanwhile.
        """
        from filelock import FileLock, Timeout

        locks = self.root / "locks"
        with writing(self.root):
            locks.mkdir(parents=True, exist_ok=True)
            lock = FileLock(locks / f"{name}.lock", thread_local=False)
            started = time.monotonic()
            wait = 0.0
            while True:
                with suppress(Timeout):
                    lock.acquire(timeout=wait)
                    return lock
                if cancellation:
                    cancellation.check()
                emit(Waiting(f"another run of chaosctl to finish getting {name}", time.monotonic() - started))
                wait = PATIENCE


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
