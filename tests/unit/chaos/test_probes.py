"""Looking on threads: what ends one is told, it does not look as if nothing happened any more."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from chaosctl.chaos import events as e
from chaosctl.chaos.cluster import TargetState
from chaosctl.chaos.probes.targets import TargetPoll
from chaosctl.chaos.runner import run
from chaosctl.errors import Unreachable
from tests.unit.chaos.fakes import cluster_of, experiment, world


def answers(*given: Sequence[TargetState] | Exception) -> tuple[TargetPoll, list[e.ChaosEvent], threading.Event]:
    """A poll that gets these answers one after the other, what it tells, and a sign that the last was given twice."""
    left, told, over = list(given), list[e.ChaosEvent](), threading.Event()

    def ask() -> Sequence[TargetState]:
        if not left:
            over.set()
        answer = left.pop(0) if left else given[-1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return TargetPoll(ask, 0.01, told.append), told, over


HEALTHY = [TargetState("10.0.0.1", 3000, "healthy")]


def test_targets_that_cannot_be_asked_for_are_told_of_and_seen_again() -> None:
    poll, told, over = answers(HEALTHY, Unreachable("throttled", code="AWS-UNREACHABLE"), HEALTHY)
    with poll:
        assert over.wait(5)
    assert [type(event) for event in told] == [e.TargetsSeen, e.TargetsUnknown, e.TargetsSeen]


def test_a_bug_while_looking_ends_the_run_and_not_only_the_looking(tmp_path: Path) -> None:
    cluster = cluster_of()
    healthy = cluster.targets

    def fail() -> Sequence[TargetState]:
        if cluster.asked:
            raise KeyError("TargetHealth")
        return healthy()

    made = world(cluster, tmp_path)
    object.__setattr__(made, "targets", fail)
    with pytest.raises(KeyError, match="TargetHealth"):
        run(experiment(cluster), made)
    assert not list((tmp_path / "undo").iterdir())
