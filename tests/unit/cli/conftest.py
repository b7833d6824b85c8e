from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaosctl import __main__ as program


@dataclass(frozen=True)
class Cli:
    """The program as a user runs it, in a directory and with a state of its own."""

    cwd: Path

    @property
    def env(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CHAOSCTL_", "AWS_"))}
        return {**kept, "CHAOSCTL_STATE_DIR": str(self.cwd / "state"), "KUBECONFIG": str(self.cwd / "kubeconfig")}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "chaosctl", *words)

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.cwd,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@dataclass(frozen=True)
class Inside:
    """The same within the process of the tests, for many calls: starting Python takes longer than what is tested."""

    cwd: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        status = program.run(words)
        said = self.capsys.readouterr()
        return subprocess.CompletedProcess(words, status, said.out, said.err)


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inside:
    for name in [name for name in os.environ if name.startswith(("CHAOSCTL_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHAOSCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.chdir(tmp_path)
    return Inside(tmp_path, capsys)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)
