"""Those benchmarks that need neither a lab nor the network still run, and say what they measured.

Short ones: whether a figure is good is for the long ones, on a quiet machine. Status 1 is a figure beyond its aim.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHORT = {
    "abort.py": ("--runs", "1"),
    "clocks.py": ("--runs", "1"),
    "ground_truth.py": ("--outages", "2", "--no-vegeta"),
    "kubeconfig.py": ("--runs", "1", "--writers", "3"),
    "prober.py": ("--seconds", "3", "--no-saturation"),
    "verdicts.py": ("--runs", "5"),
}


@pytest.mark.parametrize("name", SHORT)
def test_it_runs_and_reports(name: str) -> None:
    argv = [sys.executable, str(ROOT / "benchmarks" / name), *SHORT[name], "--json"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
    assert json.loads(done.stdout)["machine"]
