"""Where Terraform gets its providers: a mirror on this machine where there is one, else its registry.

chaosctl writes the CLI configuration itself, so that a TF_CLI_CONFIG_FILE that points nowhere does not matter.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from chaosctl import places
from chaosctl.toolbox.store import architecture
from chaosctl.toolbox.trouble import writing

REGISTRY = "registry.terraform.io"
FILE = "terraform.tfrc"
LOCK_FILE = ".terraform.lock.hcl"
LOCKED = re.compile(r'^provider "(\S+)" \{\s+version\s+= "(\S+)"', re.MULTILINE)
PARENTS = ("/opt", "/usr/local/share", "/usr/share", "/usr/local/lib", "/usr/lib", "/srv", "/var/lib", "/var/cache")


def mirrors() -> list[Path]:
    """Directories on this machine that hold `registry.terraform.io/`.

    Those that Terraform looks at by itself (in the home directory, and below what XDG_DATA_HOME and XDG_DATA_DIRS
    name), and those one level below the usual system directories.
    """
    return [place for place in dict.fromkeys(_places()) if _holds_providers(place)]


def cli_config(directory: Path) -> Path:
    """Write a Terraform CLI configuration into `directory` and return its path, for TF_CLI_CONFIG_FILE.

    Providers that a mirror on this machine holds in the locked version are taken from there, all others from their
    registry. Raises PreconditionFailed when it cannot be written.
    """
    found, plugins = mirrors(), places.cache_dir() / "terraform-plugins"
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        plugins.mkdir(parents=True, exist_ok=True)
        file = directory / FILE
        temporary = directory / f"{FILE}.{os.getpid()}"
        temporary.write_text(render(found, plugins))
        temporary.replace(file)
    return file


def render(found: Iterable[Path], plugins: Path) -> str:
    """The text of a CLI configuration with these mirrors and this plugin cache."""
    taken: set[str] = set()
    blocks = []
    for place in found:
        held = [address for address in addresses(place) if address not in taken]
        taken.update(held)
        if held:
            blocks.append(f'  filesystem_mirror {{\n    path    = "{place}"\n    include = {_quoted(held)}\n  }}\n')
    settings = f'plugin_cache_dir   = "{plugins}"\ndisable_checkpoint = true\n'
    if not blocks:
        return settings
    direct = f"  direct {{\n    exclude = {_quoted(sorted(taken))}\n  }}\n"
    return f"{settings}\nprovider_installation {{\n{''.join(blocks)}{direct}}}\n"


def addresses(place: Path) -> list[str]:
    """Providers that a mirror holds for this kind of machine, such as registry.terraform.io/hashicorp/aws.

    One that chaosctl's modules use counts where the mirror has the version that they lock: who is in the configuration
    for a provider is the only one to be asked for it.
    """
    kind, held, wanted = f"linux_{architecture()}", defaultdict[str, set[str]](set), _locked()
    for directory in (place / REGISTRY).glob(f"*/*/*/{kind}"):
        held[str(directory.parent.parent.relative_to(place))].add(directory.parent.name)
    for archive in (place / REGISTRY).glob(f"*/*/terraform-provider-*_{kind}.zip"):
        version = archive.name.removesuffix(f"_{kind}.zip").rpartition("_")[2]
        held[str(archive.parent.relative_to(place))].add(version)
    return sorted(address for address, versions in held.items() if wanted.get(address, set()) <= versions)


@cache
def _locked() -> Mapping[str, set[str]]:
    """The versions of each provider that the lock files of chaosctl's modules name."""
    found = defaultdict[str, set[str]](set)
    modules = places.asset("terraform")
    for file in [*modules.glob(LOCK_FILE), *modules.glob(f"*/{LOCK_FILE}")]:
        for address, version in LOCKED.findall(file.read_text()):
            found[address].add(version)
    return found


def _holds_providers(place: Path) -> bool:
    try:
        return (place / REGISTRY).is_dir() and bool(addresses(place))
    except OSError:  # another user's directory
        return False


def _places() -> Iterable[Path]:
    yield Path.home() / ".terraform.d" / "plugins"
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    for base in [data, *shared.split(":")]:
        yield Path(base) / "terraform" / "plugins"
    for parent in map(Path, PARENTS):
        try:
            yield from sorted(child for child in parent.iterdir() if child.is_dir())
        except OSError:
            continue


def _quoted(words: list[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"
