"""Environments of the programs from PyPI that chaosctl is compared with; they are no dependencies of it."""

from __future__ import annotations

import hashlib
import subprocess
import venv
from pathlib import Path

from chaosctl import places

HERE = Path(__file__).resolve().parent


def peers_python(name: str) -> Path:
    """The Python with the packages of peers_NAME.txt; made the first time, and again when they change."""
    pinned = HERE / f"peers_{name}.txt"
    directory = places.cache_dir() / "benchmarks" / f"peers-{name}"
    python, made = directory / "bin" / "python", directory / ".made"
    wanted = hashlib.sha256(pinned.read_bytes()).hexdigest()
    if not (made.is_file() and made.read_text() == wanted):
        venv.create(directory, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(pinned)], check=True)
        made.write_text(wanted)
    return python
