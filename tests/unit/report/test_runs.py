"""The last run as `status` tells it, by the journals on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chaosctl.chaos.events import Ended
from chaosctl.report.journal import NAME
from chaosctl.report.runs import latest
from tests.unit.chaos.story import killed
from tests.unit.report.conftest import Tell

Ran = Callable[..., None]


@pytest.fixture
def ran(told: Tell) -> Ran:
    """A run with this name and verdict, as the last line of its journal has it."""

    def run(name: str, verdict: str = "PASS") -> None:
        *events, ended = killed().told()
        assert isinstance(ended, Ended)
        told([*events, replace(ended, verdict=verdict)], name)

    return run


def verdict(directory: Path) -> tuple[str, str]:
    found = latest(directory)
    assert found is not None
    return found.name, found.verdict


def test_none(tmp_path: Path) -> None:
    assert latest(tmp_path) is None


def test_a_single_run_is_told_as_it_is(ran: Ran, tmp_path: Path) -> None:
    ran("20261123-120000", "SLO BREACHED")
    ran("20261123-130000")
    assert verdict(tmp_path) == ("20261123-130000", "PASS")


def test_a_scenario_is_as_good_as_its_worst_step(ran: Ran, tmp_path: Path) -> None:
    ran("20261123-120000/01-pod-kill", "SLO BREACHED")
    ran("20261123-120000/02-pod-kill")
    assert verdict(tmp_path) == ("20261123-120000", "SLO BREACHED")
    found = latest(tmp_path)
    assert found is not None and found.fault.startswith("scenario, 2 steps, the worst is 01-pod-kill (pod-kill")


def test_a_good_scenario_passes_whatever_was_before_it(ran: Ran, tmp_path: Path) -> None:
    ran("20261122-120000", "SLO BREACHED")
    for step in ("01-pod-kill", "02-scale"):
        ran(f"20261123-120000/{step}")
    found = latest(tmp_path)
    assert found is not None and (found.verdict, found.fault) == ("PASS", "scenario, 2 steps")


def test_a_step_that_runs_or_was_cut_short_leaves_no_verdict(ran: Ran, tmp_path: Path) -> None:
    ran("20261123-120000/01-pod-kill", "SLO BREACHED")
    ran("20261123-120000/02-pod-kill")
    journal = tmp_path / "20261123-120000" / "02-pod-kill" / NAME
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    assert verdict(tmp_path) == ("20261123-120000", "")
    found = latest(tmp_path)
    assert found is not None and found.outcome == "no verdict: it runs, or was cut short"
    assert found.fault.startswith("scenario, 2 steps, not ended is 02-pod-kill (pod-kill")
