"""Tools that the machine has already: on the PATH, with a version that will do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaosctl.adapters import process
from chaosctl.errors import ChaosctlError
from chaosctl.toolbox import versions
from chaosctl.toolbox.table import Bundle, Tool

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # where a user's PATH does not look, but Debian keeps nft and haproxy
PROBE_SECONDS = 10.0
QUIET = {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}  # terraform asks the internet for its own version


@dataclass(frozen=True)
class Located:
    """A tool and its version; the version is "unknown" where a tool does not tell."""

    path: Path
    version: str


def ask(tool: Tool, path: Path) -> str:
    """Run `path` to learn its version; "" when it does not run, does not say, or lacks what the tool must have."""
    try:
        done = process.run([path, *tool.asks], env=QUIET, timeout=PROBE_SECONDS, check=False)
    except ChaosctlError:
        return ""
    return versions.answer(tool, done.stdout + done.stderr)


class Locator:
    """Finds bundles on the PATH; remembers in `memory` what each program answered, keyed by its path, time and size."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._answers: dict[str, list[object]] | None = None
        self._changed = False

    def find(self, bundle: Bundle) -> dict[str, Located]:
        """All tools of the bundle, or {}: half a bundle from the PATH would be mixed with another version."""
        if bundle.system_directories:
            return self._directory(bundle)
        paths = {tool.name: _which(tool.name) for tool in bundle.tools}
        if not all(paths.values()):
            return {}
        found = {}
        for tool in bundle.tools:
            path = paths[tool.name]
            assert path is not None
            version = self._version(tool, path)
            if not versions.suits(tool, version):
                return {}
            found[tool.name] = Located(path, version)
        return found

    def find_all(self, bundles: tuple[Bundle, ...]) -> Mapping[str, dict[str, Located]]:
        """`find` for several at once; programs that were not asked before are asked at the same time."""
        self._load()
        with ThreadPoolExecutor(max_workers=8) as pool:
            found = dict(zip((b.name for b in bundles), pool.map(self.find, bundles), strict=True))
        self._save()
        return found

    def _directory(self, bundle: Bundle) -> dict[str, Located]:
        assert bundle.download is not None
        for place in map(Path, bundle.system_directories):
            if all(os.access(place / name, os.X_OK) for name in bundle.download.directory):
                return {bundle.tools[0].name: Located(place, "unknown")}
        return {}

    def _version(self, tool: Tool, path: Path) -> str:
        status = path.stat()
        key = f"{tool.name} {path}"
        answers = self._load()
        known = answers.get(key)
        if known and known[:2] == [status.st_mtime_ns, status.st_size]:
            return str(known[2])
        version = ask(tool, path)
        if version:  # no answer is not remembered: on a busy machine the program may just have been too slow
            answers[key] = [status.st_mtime_ns, status.st_size, version]
            self._changed = True
        return version

    def _load(self) -> dict[str, list[object]]:
        if self._answers is None:
            self._answers = {}
            with suppress(OSError, ValueError):
                self._answers = json.loads(self._memory.read_text())
        assert self._answers is not None
        return self._answers

    def _save(self) -> None:
        if not self._changed:
            return
        temporary = self._memory.with_name(f"{self._memory.name}.{os.getpid()}")
        with suppress(OSError):  # it only saves time
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._answers))
            temporary.replace(self._memory)
        self._changed = False


def _which(name: str) -> Path | None:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SBIN])
    found = shutil.which(name, path=path)
    return Path(found).absolute() if found else None
