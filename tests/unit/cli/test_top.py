from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chaosctl.adapters.cloudwatch import Alarm
from chaosctl.cli.top import report_of
from chaosctl.queries.watching import MINUTES, Line, Sight, figure
from chaosctl.ui.render import report_text

UNTIL = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
REQUESTS = Line("requests", "/s", (("n", "RequestCount", "Sum"),), 1 / 60, zero=True)
LATENCY = Line("response time", "ms", (("n", "TargetResponseTime", "p95"),), 1000)


def at(minutes: int) -> datetime:
    return UNTIL - timedelta(minutes=minutes)


def test_figures_are_of_full_minutes_and_end_with_the_last_one() -> None:
    found = figure(REQUESTS, [{at(1): 600.0, at(3): 60.0, at(0): 9e9, at(MINUTES + 1): 9e9}], UNTIL)
    assert found.values == (0.0,) * 12 + (1.0, 0.0, 10.0)
    assert found.last == 10.0


def test_nothing_published_is_not_zero_where_that_means_something_else() -> None:
    found = figure(LATENCY, [{at(2): 0.25}], UNTIL)
    assert (found.values[-2], found.last) == (250.0, None)


def test_what_it_shows() -> None:
    alarm = Alarm("demo/5xx", "ALARM", "Threshold Crossed", at(7))
    requests, latency = figure(REQUESTS, [{at(1): 600.0, at(2): 300.0}], UNTIL), figure(LATENCY, [{}], UNTIL)
    report = report_of(Sight(UNTIL, (requests, latency), (alarm,)))
    text = report_text(report)
    assert "minute to 20:00 UTC" in text
    assert "10 /s" in text and "▄█" in text
    assert "no data" in text and "·" * MINUTES in text
    assert "5xx    ALARM  7 min  Threshold Crossed" in text
    assert report.data["alarms"] == {"5xx": {"state": "ALARM", "reason": "Threshold Crossed"}}
    assert report.data["figures"]["requests"]["last"] == 10.0
