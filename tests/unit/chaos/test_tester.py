"""The tester's own trouble, told from that of the service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chaosctl.chaos import events as e
from chaosctl.chaos import tester
from chaosctl.chaos.record import Record
from chaosctl.chaos.requests import NEW, REMOTE, REUSED, Request
from chaosctl.chaos.result import conclude
from chaosctl.chaos.verdict import Verdict
from tests.unit.chaos.story import BEGIN, END, FAULT, RATE, killed

Spoil = Callable[[Request], Request]


def judged(spoil: Spoil, control: str = "https://api.example/livez", remote: Spoil = lambda r: r) -> Record:
    """A good run, in which requests are spoilt one by one; `remote` spoils those to the place beside the service."""
    story = killed()
    traffic = replace(story.experiment.traffic, control=control)
    record = Record(replace(story.experiment, traffic=traffic))
    beside = [Request(REMOTE, n, round((BEGIN + n / 2) * 1e6), 5000, 300, "ok", 401) for n in range(80)]
    for event in story.told():
        if isinstance(event, e.RequestsSeen):
            spoilt = [*map(spoil, event.requests), *map(remote, beside)]
            event = replace(event, requests=tuple(sorted(spoilt, key=lambda r: r.intended + r.latency)))
        record.add(event)
    return record


def at(request: Request) -> float:
    """Seconds after the fault."""
    return request.intended / 1e6 - FAULT


def between(begin: float, end: float, **traits: object) -> Spoil:
    return lambda r: r._replace(**traits) if begin <= at(r) < end else r  # type: ignore[arg-type]


def stall(begin: float, end: float) -> Spoil:
    """Requests of this time are got to at its end; those that waited longer than the timeout are given up."""

    def spoil(request: Request) -> Request:
        if not begin <= at(request) < end:
            return request
        lag = round((end - at(request)) * 1e6)
        return request._replace(lag=lag, latency=lag + 5000, outcome="timeout" if lag > 2_000_000 else "ok")

    return spoil


def test_a_good_run_is_no_trouble() -> None:
    record = judged(lambda r: r)
    assert tester.trouble(record) == [] and tester.unwatched(record) == ""
    found = tester.figures(record)
    assert found is not None and (found.remote_requests, found.remote_failures) == (60, 0)


def test_what_fails_while_another_place_cannot_be_reached_was_this_machine() -> None:
    record = judged(between(20, 24, outcome="timeout"), remote=between(20, 24, outcome="timeout"))
    (why,) = tester.trouble(record)
    assert why.startswith("400 requests failed while api.example") and "lost its own network" in why


def test_what_fails_while_another_place_answers_was_the_service() -> None:
    record = judged(between(20, 24, outcome="timeout"), remote=between(10, 12, outcome="reset"))
    assert tester.trouble(record) == []


def test_a_place_that_never_answers_tells_nothing_and_the_run_says_so() -> None:
    record = judged(between(20, 24, outcome="timeout"), remote=lambda r: r._replace(outcome="timeout"))
    assert tester.trouble(record) == []
    assert any("api.example never answered" in note for note in conclude(record).notes)


def test_a_stall_within_one_per_cent_of_the_run_could_hide_an_outage() -> None:
    record = judged(stall(20.0, 21.5))
    found = tester.figures(record)
    assert found is not None and found.lag_max > 1000
    assert any("stood still for 1.50 s" in why for why in tester.trouble(record))


def test_a_short_stall_is_honest_about_what_it_can_hide() -> None:
    record = judged(stall(20.0, 20.1))
    assert tester.trouble(record) == []
    assert conclude(record).streams[0].visible == pytest.approx(1 / RATE + 0.1)


def test_time_outs_of_a_prober_that_stood_still_are_its_own() -> None:
    record = judged(stall(20.0, 22.5))
    assert any("timed out while the prober itself was held up" in why for why in tester.trouble(record))


def test_a_request_that_was_under_way_when_the_prober_stood_still_is_its_own_too() -> None:
    """It left in time, but nobody was there to go on with it."""
    under_way = between(19.98, 20.0, outcome="timeout", latency=2_300_000)
    held = stall(20.0, 22.3)
    record = judged(lambda r: held(under_way(r))._replace(outcome="ok") if at(r) >= 20 else under_way(r))
    assert any(why.startswith("2 requests timed out while") for why in tester.trouble(record))


def test_time_outs_of_the_service_are_the_service() -> None:
    assert tester.trouble(judged(between(20, 22, outcome="timeout", latency=2_000_000))) == []


def test_a_bad_spell_counts_in_a_long_run_too() -> None:
    """Six tenths of a second in forty are less than two per cent; of five seconds they are twelve."""
    record = judged(between(20, 20.6, lag=30_000))
    requests = [r for s in (NEW, REUSED) for r in record.requests[s]]
    assert tester.late_share(requests) == pytest.approx(12.0, abs=0.5)
    assert tester.late_share([]) == 0.0


def test_lateness_before_the_fault_is_the_gates_business() -> None:
    assert tester.trouble(judged(between(-10, -1, lag=30_000))) == []
    assert tester.trouble(judged(between(0, END - FAULT, lag=30_000)))


@pytest.mark.parametrize(
    ("spoil", "remote", "verdict"),
    [
        (between(-10, 50, outcome="status"), lambda r: r, Verdict.NOT_STEADY),
        (between(-10, 50, outcome="unsent"), lambda r: r, Verdict.INVALID),
        (between(-10, 50, outcome="dns"), between(-10, 50, outcome="dns"), Verdict.INVALID),
    ],
)
def test_a_gate_that_stayed_shut_for_the_testers_own_trouble_is_invalid(
    spoil: Spoil, remote: Spoil, verdict: Verdict
) -> None:
    whole = judged(spoil, remote=remote)
    record = Record(whole.experiment)
    record.add(e.TrafficStarted(BEGIN))
    record.add(e.RequestsSeen(FAULT, tuple(r for part in whole.requests.values() for r in part)))
    record.add(e.NotSteady(FAULT, "traffic is clean for 0 s"))
    record.add(e.TrafficEnded(FAULT, {s: _totals(part) for s, part in whole.requests.items()}, 0, 0.1, 10.0))
    result = conclude(record)
    assert result.verdict is verdict
    assert any("traffic is clean for 0 s" in reason for reason in result.reasons)


def _totals(requests: list[Request]) -> tuple[int, int, int, int, int]:
    ok, unsent = sum(r.ok for r in requests), sum(r.outcome == "unsent" for r in requests)
    return len(requests), ok, len(requests) - ok - unsent, 0, unsent
