"""A sample of what benchmarks/verdicts.py does 500 times each."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chaosctl.chaos.verdict import Verdict
from tests.unit.chaos.simulation import SABOTAGE, healthy, sabotaged, simulate


@pytest.mark.parametrize("number", range(2 * len(SABOTAGE)))
def test_a_sabotaged_run_never_passes(number: int, tmp_path: Path) -> None:
    name, how = sabotaged(number, random.Random(f"sabotaged {number}"))
    assert simulate(number, how, tmp_path).verdict is not Verdict.PASS, name


@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_run_passes(seed: int, tmp_path: Path) -> None:
    result = simulate(seed, healthy(random.Random(f"healthy {seed}")), tmp_path)
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    runs = [simulate(3, healthy(random.Random(3)), tmp_path) for _ in range(2)]
    assert runs[0] == runs[1]
