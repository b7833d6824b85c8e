"""Verdicts from events told by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaosctl.chaos import events as e
from chaosctl.chaos.experiment import Budgets
from chaosctl.chaos.record import Gaps, Record
from chaosctl.chaos.result import Result, conclude
from chaosctl.chaos.verdict import Verdict
from tests.unit.chaos.story import END, FAULT, RATE, Story, killed


def judged(story: Story, *, also: tuple[e.ChaosEvent, ...] = (), seconds: float = 120.0) -> Result:
    """With further events; `seconds` is the budget of each clock."""
    record = Record(replace(story.experiment, budgets=Budgets(recovery_seconds=seconds)))
    for event in sorted([*story.told()[1:-1], *also], key=lambda event: event.at):
        record.add(event)
    return conclude(record)


def test_a_pod_that_never_ends_was_hit_and_has_not_recovered() -> None:
    story = killed()
    told = [x for x in story.events if not (isinstance(x, e.PodSeen) and x.change == "DELETED")]
    story.events = told
    record = Record(story.experiment)
    for event in story.told():
        ended = isinstance(event, e.Verified)
        record.add(replace(event, pods=tuple(story.pods.values())) if isinstance(event, e.Verified) else event)
        assert not ended or story.pods[1].deleting
    result = conclude(record)
    assert result.verdict is Verdict.NOT_RECOVERED
    assert result.kills[0].evidence == "ending"
    assert "web-1 is to end, but exists still" in result.reasons


def watch(begin: float, end: float | None = None) -> tuple[e.ChaosEvent, ...]:
    restored = () if end is None else (e.WatchRestored(FAULT + end),)
    return (e.WatchBroken(FAULT + begin, "cut"), *restored)


def targets(begin: float, end: float | None = None) -> tuple[e.ChaosEvent, ...]:
    return tuple(e.TargetsUnknown(FAULT + at, "throttled") for at in (begin, begin + 0.2))


@pytest.mark.parametrize(
    ("gap", "budget", "verdict"),
    [
        ((), 1.0, Verdict.SLO_BREACHED),
        (watch(0.5, 2.5), 1.0, Verdict.INVALID),  # ready at 3.0, told right after the gap
        (watch(1.5, 2.5), 1.0, Verdict.SLO_BREACHED),  # it was late before the gap already
        (watch(0.1, 0.5), 1.0, Verdict.SLO_BREACHED),  # what is told long after the gap was seen in time
        (watch(0.5, 2.5), 120.0, Verdict.PASS),
        (targets(0.5), 1.0, Verdict.INVALID),
        (targets(0.5), 120.0, Verdict.PASS),
    ],
)
def test_a_clock_that_is_late_by_a_gap_is_not_the_services_fault(
    gap: tuple[e.ChaosEvent, ...], budget: float, verdict: Verdict
) -> None:
    result = judged(killed(), also=gap, seconds=budget)
    assert result.verdict is verdict, result.reasons
    assert not gap or any("may be late by as long" in note for note in result.notes)


def test_a_gap_that_lasts_is_one() -> None:
    gaps = Gaps()
    for begin in (1.0, 2.0):
        gaps.begin(begin)
    assert gaps.before(50.0) == 1.0
    gaps.end(3.0)
    gaps.end(9.0)
    assert gaps.spans == [(1.0, 3.0)] and gaps.before(5.0) is None


@pytest.mark.parametrize("observe", [5.0, 10.0])
def test_success_is_not_diluted_by_waiting_for_something_else(observe: float) -> None:
    """Users were well again two seconds after the fault; that the run lasted 40 does not make it any better."""
    story = killed()
    story.experiment = replace(story.experiment, timing=replace(story.experiment.timing, observe=observe))
    record = Record(story.experiment)
    for event in story.told({(1.0, 2.0): ("both", "status", 503)}):
        record.add(event)
    figures = conclude(record).streams[0]
    assert figures.totals.scheduled == pytest.approx((0.1 + 2.0 + observe) * RATE, abs=2)
    assert figures.success_percent == pytest.approx(100 * (1 - 1 / (2.1 + observe)), abs=0.2)


@pytest.mark.parametrize(
    ("seconds", "latency", "verdict"),
    [
        (2.0, 1.5, Verdict.SLO_BREACHED),  # a seventh of all answers, from the injection to the end
        (2.0, 0.9, Verdict.PASS),
        (0.2, 1.5, Verdict.PASS),  # fewer than one in a hundred
    ],
)
def test_users_notice_answers_that_are_good_and_late(seconds: float, latency: float, verdict: Verdict) -> None:
    story = killed()
    record = Record(story.experiment)
    for event in story.told({(1.0, 1.0 + seconds): ("reused", "ok", 200)}, latency=latency):
        record.add(event)
    result = conclude(record)
    assert result.verdict is verdict, result.reasons
    wrong = ("1 % of the good answers on reused connections took over 1.50 s, the budget is 1 s",)
    assert result.reasons == (wrong if verdict is Verdict.SLO_BREACHED else ())


def test_users_who_are_never_well_again_count_to_the_end() -> None:
    story = killed()
    record = Record(story.experiment)
    for event in story.told({(1.0, 99.0): ("both", "status", 503)}):
        record.add(event)
    assert conclude(record).streams[0].totals.scheduled == pytest.approx((0.1 + END - FAULT) * RATE, abs=2)
