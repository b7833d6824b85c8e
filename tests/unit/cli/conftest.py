from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


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


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)
