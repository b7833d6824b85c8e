"""Where Terraform gets its providers: a mirror on this machine where there is one, else its registry.

chaosctl writes the CLI configuration itself, so that a TF_CLI_CONFIG_FILE that points nowhere does not matter.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from chaosctl import places
from chaosctl.toolbox.store import architecture
from chaosctl.toolbox.trouble import writing

REGISTRY = "registry.terraform.io"
FILE = "terraform.tfrc"
PARENTS = ("/opt", "/usr/local/share", "/usr/share", "/usr/local/lib", "/usr/lib", "/srv", "/var/lib", "/var/cache")


def mirrors() -> list[Path]:
    """Directories on this machine that hold `registry.terraform.io/`.

    Those that Terraform looks at by itself, those that the user's own variables name, and one level below the usual
    system directories.
    """
    return [place for place in dict.fromkeys(_places()) if _holds_providers(place)]


def cli_config(directory: Path) -> Path:
    """Write a Terraform CLI configuration into `directory` and return its path, for TF_CLI_CONFIG_FILE.

    Providers that a mirror on this machine holds are taken from there, all others from their registry. Raises
    PreconditionFailed when it cannot be written.
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
    """Providers that a mirror holds for this kind of machine, such as registry.terraform.io/hashicorp/aws."""
    kind = f"linux_{architecture()}"
    unpacked = {held.parent.parent for held in (place / REGISTRY).glob(f"*/*/*/{kind}")}
    packed = {held.parent for held in (place / REGISTRY).glob(f"*/*/terraform-provider-*_{kind}.zip")}
    return sorted(str(provider.relative_to(place)) for provider in unpacked | packed)


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
