"""A machine with an apt, a pip and a Go that do as they are told, and nothing else of the kind; tools from each."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chaosctl.errors import ChaosctlError
from chaosctl.events import Emit, ignore
from chaosctl.toolbox import golang, wheels
from chaosctl.toolbox.reach import Reach
from chaosctl.toolbox.sources import Context
from chaosctl.toolbox.store import Store, architecture
from chaosctl.toolbox.table import Bundle, Debs, GoPackage, Tool, Wheel
from chaosctl.waiting import Cancellation

APT_GET = """
case "$*" in
  *--print-uris*) exit 0 ;;
  *" update") echo updated >> ../../updates; exit 0 ;;
esac
{hook}
for word; do
  [ "$seen" = yes ] && touch "$word"_1.0_all.deb
  [ "$word" = download ] && seen=yes
done
exit 0
"""
APT_CACHE = """
for word; do
  [ "$seen" = yes ] && printf 'Package: %s\\n\\n' "$word"
  [ "$word" = --no-all-versions ] && seen=yes
done
exit 0
"""
DPKG_DEB = """
name=$(basename "$2" | cut -d_ -f1)
mkdir -p "$3/usr/bin"
printf '#!/bin/sh\\necho v1.0\\n' > "$3/usr/bin/$name"
chmod +x "$3/usr/bin/$name"
"""
GO = """
case "$1" in
  env) printf '%s\\n' "{goproxy}" "{modules}" "go{version}"; exit 0 ;;
  list) exit 0 ;;
esac
{hook}
"""


@dataclass(frozen=True)
class Machine:
    """`place` holds its programs. Hooks are lines of shell that run when a program is to do its main work."""

    place: Path

    def apt(self, hook: str = "") -> None:
        for name, text in (("apt-cache", APT_CACHE), ("dpkg-deb", DPKG_DEB), ("dpkg-query", ""), ("apt-config", "")):
            self.program(name, text)
        self.program("apt-get", APT_GET.format(hook=hook))

    def pip(self, hook: str) -> None:
        self.program("pip3", hook)

    def go(self, hook: str = "", goproxy: str = "off", version: str = "1.26.8", cached: bool = True) -> None:
        modules = self.place / "modules"
        if cached:
            (modules / "cache" / "download").mkdir(parents=True, exist_ok=True)
        self.program("go", GO.format(hook=hook, goproxy=goproxy, modules=modules, version=version))

    def program(self, name: str, text: str) -> Path:
        path = self.place / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path


def machine(place: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Make this process see such a machine, whose programs are in the new directory `place`."""
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setattr(wheels, "_pip", lambda: [str(place / "pip3")])
    monkeypatch.setattr(golang, "SPACE", 0)
    return Machine(place)


def debian(name: str) -> Bundle:
    return _bundle(name, debs=Debs((name,), {name: f"usr/bin/{name}"}))


def wheel(name: str) -> Bundle:
    return _bundle(name, wheel=Wheel("package", "1.0", "0" * 64, 1, architecture(), {name: name}))


def built(name: str) -> Bundle:
    return _bundle(name, go=GoPackage("gobuild", f"example.test/{name}"))


def _bundle(name: str, debs: Debs | None = None, wheel: Wheel | None = None, go: GoPackage | None = None) -> Bundle:
    return Bundle(name, "1.0", (Tool(name, ("--version",)),), f"install {name}", wheel=wheel, debs=debs, go=go)


@dataclass
class Ledger:
    """Delivery that only writes down."""

    got: list[str] = field(default_factory=list)
    lost: dict[str, ChaosctlError] = field(default_factory=dict)

    def ready(self, bundle: Bundle, version: str) -> None:
        self.got.append(bundle.name)

    def failed(self, bundle: Bundle, error: ChaosctlError) -> None:
        assert bundle.name not in self.lost
        self.lost[bundle.name] = error


def context(cache: Path, emit: Emit = ignore) -> Context:
    return Context(Store(cache), emit, Cancellation(), Reach())
