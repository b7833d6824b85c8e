"""Many writers of one kubeconfig at once: is an entry lost, is another byte touched?

All processes start at the same moment and add an entry of their own through a symlink; every fifth removes it again.
Shared by the tests and benchmarks/kubeconfig.py.
"""

from __future__ import annotations

import multiprocessing
import stat
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

from chaosctl.adapters import kubeconfig
from chaosctl.adapters.kubeconfig import Entry

THEIRS = """\
# my clusters
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: "QUJD"   # do not touch
    server: https://prod.example
  name: prod
- cluster: {server: "https://dev.example"}
  name: dev
# contexts follow
contexts:
- context:
    cluster: prod
    user: prod
  name: prod

current-context: prod
kind: Config
preferences: {}
users:
- name: prod
  user:
    token: 'abc'
"""


@dataclass(frozen=True)
class Outcome:
    """What is left of it. `lost` and `extra` are names of entries, `touched` lines of the user's that changed."""

    lost: list[str]
    extra: list[str]
    touched: list[str]
    failed: int
    mode: int
    files: list[str]
    seconds: float

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing touched, nobody refused, a private file, and the symlink and it alone."""
        bad = self.lost or self.extra or self.touched or self.failed
        return not bad and self.mode == 0o600 and self.files == ["config", "real"]


def run(writers: int, directory: Path) -> Outcome:
    """Let that many processes write `directory`/config, which is a symlink."""
    real, link = directory / "real", directory / "config"
    real.write_text(THEIRS)
    link.symlink_to(real)
    processes = multiprocessing.get_context("fork")
    barrier = processes.Barrier(writers)
    crowd = [processes.Process(target=_write, args=(link, number, barrier)) for number in range(writers)]
    began = time.monotonic()
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    seconds = time.monotonic() - began
    text = real.read_text()
    expected = {_name(number) for number in range(writers) if _stays(number)} | {"prod", "dev"}
    found = {line.split()[-1] for line in text.splitlines() if line.startswith(("- name:", "  name:"))}
    return Outcome(
        lost=sorted(expected - found),
        extra=sorted(found - expected),
        touched=[line for line in THEIRS.splitlines() if line not in text.splitlines()],
        failed=sum(each.exitcode != 0 for each in crowd),
        mode=stat.S_IMODE(real.stat().st_mode),
        files=sorted(path.name for path in directory.iterdir()),
        seconds=seconds,
    )


def _write(path: Path, number: int, barrier: Barrier) -> None:
    barrier.wait()
    kubeconfig.write(path, Entry(_name(number), f"https://127.0.0.{number}", "Q0E=", {"tokenFile": "/t"}))
    if not _stays(number):
        kubeconfig.remove(path, _name(number))


def _name(number: int) -> str:
    return f"writer-{number}"


def _stays(number: int) -> bool:
    return number % 5 > 0
