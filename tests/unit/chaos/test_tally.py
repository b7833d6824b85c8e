from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.chaos import events as e
from chaosctl.chaos import outage
from chaosctl.chaos.experiment import Budgets
from chaosctl.chaos.record import Record
from chaosctl.chaos.requests import NEW, Request
from chaosctl.chaos.tally import Tally
from tests.unit.chaos.story import FAULT, killed

PERIOD = 0.01
LONG = 1.0


def stream(pattern: str) -> list[Request]:
    """One request per letter: . good, x refused."""
    return [Request(NEW, n, n * 10_000, 1500, 0, "ok" if c == "." else "refused", 0) for n, c in enumerate(pattern)]


@given(st.text(alphabet=".x", max_size=60), st.integers(0, 60), st.randoms(use_true_random=False))
def test_it_says_at_any_moment_what_all_requests_together_say(pattern: str, ended: int, dice: random.Random) -> None:
    requests = stream(pattern)
    dice.shuffle(requests)
    tally = Tally(PERIOD, LONG)
    tally.inject(0)
    for request in requests[:ended]:
        tally.add(request)
    found = outage.outages(requests[:ended], PERIOD)
    assert tally.downtime() == pytest.approx(sum(o.seconds for o in found))
    assert (tally.sent, tally.bad) == (len(requests[:ended]), sum(not r.ok for r in requests[:ended]))


def test_what_ended_before_the_injection_is_not_its_work() -> None:
    tally = Tally(PERIOD, LONG)
    tally.inject(0.1)
    for request in stream("x" * 20):
        tally.add(request)
    assert tally.downtime() == pytest.approx(0.1)
    assert tally.known == 20


def fed(pattern: str, waiting: tuple[int, int] | None) -> Tally:
    tally = Tally(PERIOD, LONG)
    tally.inject(0)
    for request in stream(pattern):
        tally.add(request)
    tally.wait(waiting)
    return tally


@pytest.mark.parametrize(
    ("pattern", "waiting", "seconds"),
    [
        ("....", None, 0.0),
        ("....", (40_000, 1_540_000), 1.5),  # hung from the fifth request on
        ("..xx", (40_000, 1_540_000), 1.52),  # refused, then hung
        (".x..", (40_000, 1_040_000), 1.01),
    ],
)
def test_what_is_in_flight_may_be_an_outage(pattern: str, waiting: tuple[int, int] | None, seconds: float) -> None:
    assert fed(pattern, waiting).provisional() == pytest.approx(seconds)


def test_a_good_answer_that_comes_meanwhile_says_that_the_service_is_only_slow() -> None:
    tally = fed("....", (40_000, 1_540_000))
    tally.add(Request(NEW, 5, 50_000, 1_400_000, 0, "ok", 200))
    assert tally.provisional() == pytest.approx(0.09)


def record(*, success: float = 0.0, downtime: float = 1.0, latency: float = 1.0) -> Record:
    made = Record(replace(killed().experiment, budgets=Budgets(success, downtime, latency)))
    made.add(e.PhaseStarted(FAULT, "inject"))
    return made


def answers(outcome: Callable[[int], str], count: int) -> tuple[Request, ...]:
    return tuple(Request(NEW, n, round((FAULT + n / 50) * 1e6), 1000, 0, outcome(n), 0) for n in range(count))


def test_a_hung_service_breaches_before_its_first_request_times_out() -> None:
    asked = record()
    begin = round(FAULT * 1e6)
    asked.add(e.RequestsSeen(FAULT, (), {NEW: (begin, begin + 1_300_000)}))
    assert asked.breach() == ""  # it may be slow
    asked.add(e.RequestsSeen(FAULT, (), {NEW: (begin, begin + 1_500_000)}))
    assert asked.breach().startswith("no good answer on new connections for 1.50 s")


def test_success_is_breached_once_it_is_out_of_reach() -> None:
    """Every other request fails: no outage is long, but 99 % of what can come until the run is given up is known."""
    asked = record(success=99.0, downtime=1000.0)
    asked.add(e.RequestsSeen(FAULT, answers(lambda n: "reset" if n % 2 else "ok", 180)))
    assert asked.breach() == ""
    asked = record(success=99.0, downtime=1000.0)
    asked.add(e.RequestsSeen(FAULT, answers(lambda n: "reset" if n % 2 else "ok", 300)))
    assert "150 requests on new connections failed already: 99 % of success are out of reach" in asked.breach()


@pytest.mark.parametrize(("slow", "breached"), [(100, False), (150, True)])
def test_latency_is_breached_once_it_is_out_of_reach(slow: int, breached: bool) -> None:
    """As with success: of all answers that can come until the run is given up, 1 % is known."""
    asked = record(downtime=1000.0, latency=0.2)
    first = round(FAULT * 1e6)
    late = tuple(Request(NEW, n, first + n * 20_000, 300_000, 0, "ok", 200) for n in range(slow))
    asked.add(e.RequestsSeen(FAULT, late))
    assert bool(asked.breach()) is breached
    assert not breached or asked.breach().startswith("150 answers on new connections took over 0.2 s already")
