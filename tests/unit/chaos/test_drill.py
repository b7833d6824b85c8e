from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaosctl.chaos import events as e
from chaosctl.chaos import runner
from chaosctl.chaos.drill import Drill, Drilled
from chaosctl.chaos.experiment import Aim
from chaosctl.chaos.record import Record
from chaosctl.chaos.result import Result, conclude
from chaosctl.chaos.scenario import parse, steps
from chaosctl.chaos.verdict import Verdict
from tests.unit.chaos.fakes import cluster_of, experiment, world
from tests.unit.chaos.simulation import TIMING


def drill(*seen: tuple[float, str]) -> Drill:
    """A drill of the alarm `x`; the fault is injected at 10."""
    made = Drill(("x",))
    for at, state in seen:
        if at >= 10 and not made.begun:
            made.begin()
        made.seen(at, "x", state)
    return made


def test_seconds_count_from_the_fault_and_from_its_end() -> None:
    told = drill((1, "OK"), (100, "ALARM"), (250, "OK"))
    assert told.outcome(10, 200) == (Drilled("x", 90, 50),)
    assert told.unfinished() == ""


def test_what_went_off_before_the_fault_does_not_count() -> None:
    told = drill((1, "ALARM"), (20, "OK"))
    assert told.silent() == "the alarm x has not gone off"
    assert told.outcome(10, 15) == (Drilled("x", None, None),)


def test_an_alarm_that_comes_again_is_not_over() -> None:
    told = drill((11, "ALARM"), (20, "OK"), (30, "ALARM"))
    assert told.unfinished() == "the alarm x is not over"
    told.seen(40, "x", "OK")
    assert told.outcome(10, 15) == (Drilled("x", 1, 25),)


@pytest.mark.parametrize(
    ("state", "loud"),
    [("OK", ""), ("INSUFFICIENT_DATA", ""), ("ALARM", "the alarm x is ALARM"), ("missing", "the alarm x is missing")],
)
def test_nothing_begins_while_the_alarm_is_loud_already(state: str, loud: str) -> None:
    assert drill((1, state)).loud() == loud
    assert Drill(("x",)).loud() == "the alarm x was not seen yet"


def run_with(alarm: list[str], directory: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    """A kill of a pod, while the alarm has these states one after the other, and the last one for ever."""
    monkeypatch.setattr("chaosctl.chaos.probes.alarms.EVERY", 0.01)
    monkeypatch.setattr("chaosctl.chaos.runner.PATIENCE", 0.5)
    cluster = cluster_of()
    states = iter(alarm)
    last = alarm[-1]
    planned = replace(experiment(cluster, Aim(seed=1, count=1)), alarms=("x",))
    around = replace(world(cluster, directory), alarms=lambda: {"x": next(states, last)})
    return runner.run(planned, around)


def test_an_alarm_that_stays_silent_is_a_verdict_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_with(["OK"], tmp_path, monkeypatch)
    assert result.verdict is Verdict.ALARM_SILENT and result.verdict.status == 17
    assert result.reasons == ("the alarm x has not gone off",)


def test_an_alarm_that_goes_off_before_anything_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_with(["ALARM"], tmp_path, monkeypatch).verdict is Verdict.NOT_STEADY


def test_what_the_journal_says_of_an_alarm_decides() -> None:
    cluster = cluster_of()
    planned = replace(experiment(cluster), alarms=("x",), timing=TIMING)
    record = Record(planned)
    (victim,) = planned.plan.victims
    for event in (
        e.AlarmSeen(1.0, "x", "OK"),
        e.PhaseStarted(2.0, "inject"),
        e.Injected(3.0, victim.uid, victim.name),
        e.AlarmSeen(63.0, "x", "ALARM"),
        e.AlarmSeen(123.0, "x", "OK"),
    ):
        record.add(event)
    assert conclude(record).alarms == (Drilled("x", 60.0, 120.0),)


def test_a_scenario_says_which_alarms_it_expects() -> None:
    text = "{name: n, steps: [{fault: pod-kill, expect_alarms: [5xx, latency]}]}"
    [step] = steps(parse(text, "here"), seed=1)
    assert step.alarms == ("5xx", "latency")
