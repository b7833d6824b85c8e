from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.chaos import outage
from chaosctl.chaos.requests import NEW, Request

PERIOD = 0.01


def stream(pattern: str) -> list[Request]:
    """One request per letter: . good, x refused, t timed out, u unsent."""
    outcomes = {".": "ok", "x": "refused", "t": "timeout", "u": "unsent"}
    return [Request(NEW, n, n * 10_000, 1500, 0, outcomes[c], 0) for n, c in enumerate(pattern)]


def test_an_outage_lasts_from_the_first_bad_to_the_next_good_request() -> None:
    (found,) = outage.outages(stream("..xtx.."), PERIOD)
    assert (found.begin, found.end, found.requests) == (0.02, 0.05, 3)
    assert found.kinds == (("refused", 2), ("timeout", 1))
    assert not found.open


def test_an_outage_at_the_end_is_open_and_ends_one_period_later() -> None:
    (found,) = outage.outages(stream("..xx"), PERIOD)
    assert found.open and found.end == pytest.approx(0.04)


def test_records_may_come_in_any_order() -> None:
    requests = stream(".x.xx.")
    assert outage.outages(reversed(requests), PERIOD) == outage.outages(requests, PERIOD)


@given(st.text(alphabet=".xtu", max_size=60))
def test_every_bad_request_is_in_one_outage_and_every_request_is_accounted_for(pattern: str) -> None:
    requests = stream(pattern)
    found = outage.outages(requests, PERIOD)
    totals = outage.count(requests)
    assert sum(o.requests for o in found) == len(pattern) - pattern.count(".")
    assert sum(o.seconds for o in found) == pytest.approx(PERIOD * (len(pattern) - pattern.count(".")))
    assert totals.balanced and totals == (
        len(pattern),
        pattern.count("."),
        pattern.count("x"),
        pattern.count("t"),
        pattern.count("u"),
    )


def test_figures_of_a_stream_without_a_failure_say_how_little_that_proves() -> None:
    figures = outage.figures(NEW, stream("." * 300), 100)
    assert figures.success_percent == 100
    assert figures.bound_percent == pytest.approx(1.0)
    assert figures.visible == PERIOD
    assert figures.latency is not None and figures.latency.p99 == 1.5


def test_failures_take_the_bound_away_and_no_request_is_no_success() -> None:
    assert outage.figures(NEW, stream(".x."), 100).bound_percent is None
    assert outage.figures(NEW, [], 100).success_percent == 0


@pytest.mark.parametrize(("pattern", "clean"), [("....", None), (".x..", 0.02), (".x.x.", 0.04), (".xx", math.inf)])
def test_traffic_is_clean_from_the_first_good_after_the_last_bad(pattern: str, clean: float | None) -> None:
    assert outage.clean_from(stream(pattern)) == clean


def test_a_missing_or_doubled_number_is_noticed() -> None:
    requests = stream("....")
    assert outage.complete(requests)
    assert not outage.complete(requests[1:])
    assert not outage.complete([*requests, requests[0]])


@pytest.mark.parametrize(("percent", "value"), [(50, 2.0), (99, 4.0), (0, 1.0), (100, 4.0)])
def test_percentiles_are_values_that_occurred(percent: float, value: float) -> None:
    assert outage.percentile([1.0, 2.0, 3.0, 4.0], percent) == value


def test_before_during_and_after_are_told_apart_by_the_time_to_be_sent() -> None:
    requests = [
        Request(NEW, n, n * 10_000, latency, 0, "ok" if latency < 9000 else "timeout", 0)
        for n, latency in enumerate([1000, 2000, 5000, 9000, 6000, 3000])
    ]
    before, during, after = outage.spans(NEW, requests, 0.02, 0.05)
    assert [(part.when, part.requests, part.ok) for part in (before, during, after)] == [
        ("before", 2, 2),
        ("during", 3, 2),
        ("after", 1, 1),
    ]
    assert during.latency is not None and (during.latency.p50, during.latency.p99) == (5.0, 6.0)
    assert before.latency is not None and before.latency.max == 2.0


def test_a_fault_that_lasts_until_the_end_has_no_figures_afterwards() -> None:
    *_, after = outage.spans(NEW, stream("..."), 0.01, 9.0)
    assert (after.requests, after.latency) == (0, None)
