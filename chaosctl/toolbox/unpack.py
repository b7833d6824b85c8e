"""Taking the few files that are needed out of archives."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from chaosctl.toolbox.trouble import SourceFailed


def write(source: IO[bytes], target: Path) -> None:
    """A program from an open file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    target.chmod(0o755)


def extract(archive: Path, wanted: Mapping[str, Path]) -> None:
    """Write the members of a .zip, .tar.gz or .tgz whose names are keys of `wanted` to its values.

    Only their contents: no owner, link or path of the archive is used. Raises SourceFailed when one is missing or
    the archive is damaged.
    """
    try:
        missing = _unzip(archive, wanted) if zipfile.is_zipfile(archive) else _untar(archive, wanted)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise SourceFailed(f"{archive.name} is damaged", why=str(error)) from error
    if missing:
        raise SourceFailed(f"{archive.name} has not what it should", why=f"missing: {', '.join(sorted(missing))}")


def _unzip(archive: Path, wanted: Mapping[str, Path]) -> set[str]:
    with zipfile.ZipFile(archive) as opened:
        there = wanted.keys() & set(opened.namelist())
        for name in there:
            with opened.open(name) as source:
                write(source, wanted[name])
    return set(wanted) - there


def _untar(archive: Path, wanted: Mapping[str, Path]) -> set[str]:
    missing = {name.removeprefix("./"): name for name in wanted}
    with tarfile.open(archive) as opened:
        for member in opened:
            name = missing.get(member.name.removeprefix("./"))
            source = opened.extractfile(member) if name and member.isfile() else None
            if name and source:
                write(source, wanted[name])
                del missing[member.name.removeprefix("./")]
            if not missing:
                break
    return set(missing.values())
