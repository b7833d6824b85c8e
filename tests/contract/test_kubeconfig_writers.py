"""Processes that write one kubeconfig at the same time, as real as they get. Figures: benchmarks/kubeconfig.py."""

from pathlib import Path

from tests.unit.adapters import kubeconfig_writers


def test_fifty_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    outcome = kubeconfig_writers.run(50, tmp_path)
    assert outcome.clean, outcome
