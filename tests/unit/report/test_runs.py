"""The last run as `status` tells it, by the journals on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaosctl.report.journal import NAME
from chaosctl.report.runs import latest
from tests.unit.chaos.story import killed
from tests.unit.report.conftest import Tell

OUTAGE = {(20.0, 22.0): ("both", "status", 503)}

Ran = Callable[..., None]


@pytest.fixture
def ran(told: Tell) -> Ran:
    """A run with this name, good unless users saw an outage."""

    def run(name: str, *, outage: bool = False) -> None:
        told(killed().told(OUTAGE) if outage else None, name)

    return run


def verdict(directory: Path) -> tuple[str, str]:
    found = latest(directory)
    assert found is not None
    return found.name, found.verdict


def test_none(tmp_path: Path) -> None:
    assert latest(tmp_path) is None


def test_a_single_run_is_told_as_it_is(ran: Ran, tmp_path: Path) -> None:
    ran("20261123-120000", outage=True)
    ran("20261123-130000")
    assert verdict(tmp_path) == ("20261123-130000", "PASS")


def test_a_scenario_is_as_good_as_its_worst_step(ran: Ran, tmp_path: Path) -> None:
    ran("20261123-120000/01-pod-kill", outage=True)
    ran("20261123-120000/02-pod-kill")
    assert verdict(tmp_path) == ("20261123-120000", "SLO BREACHED")
    found = latest(tmp_path)
    assert found is not None and found.fault.startswith("scenario, 2 steps, the worst is 01-pod-kill (pod-kill")


def test_a_good_scenario_passes_whatever_was_before_it(ran: Ran, tmp_path: Path) -> None:
    ran("20261122-120000", outage=True)
    for step in ("01-pod-kill", "02-scale"):
        ran(f"20261123-120000/{step}")
    found = latest(tmp_path)
    assert found is not None and (found.verdict, found.fault) == ("PASS", "scenario, 2 steps")


def test_a_step_that_was_cut_short_leaves_no_verdict(ran: Ran, tmp_path: Path) -> None:
    ran("20261123-120000/01-pod-kill", outage=True)
    ran("20261123-120000/02-pod-kill")
    journal = tmp_path / "20261123-120000" / "02-pod-kill" / NAME
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    assert verdict(tmp_path) == ("20261123-120000", "")
