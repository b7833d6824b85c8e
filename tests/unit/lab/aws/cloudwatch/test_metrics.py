from __future__ import annotations

import pytest

from chaosctl.lab.aws.cloudwatch.metrics import KEPT, MINUTE, Metric, Metrics

LATENCY = Metric.of("AWS/ApplicationELB", "TargetResponseTime", {"LoadBalancer": "app/web/1"})


def test_the_order_of_dimensions_means_nothing() -> None:
    assert Metric.of("n", "m", {"a": "1", "b": "2"}) == Metric.of("n", "m", {"b": "2", "a": "1"})


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        *(("Sum", 5050), ("SampleCount", 100), ("Average", 50.5), ("Minimum", 1), ("Maximum", 100)),
        *(("p50", 50), ("p95", 95), ("p99", 99), ("p99.9", 100), ("p100", 100), ("p0", 1), ("nonsense", None)),
    ],
)
def test_statistics(statistic: str, expected: float | None) -> None:
    metrics = Metrics()
    for value in range(1, 101):
        metrics.put(LATENCY, 120 + value / 10, value, "Seconds")
    assert metrics.points(LATENCY, 120, 180, 60)[120].statistic(statistic) == expected
    assert metrics.unit(LATENCY) == "Seconds"


def test_longer_periods_are_made_of_minutes_and_counted_from_the_start() -> None:
    metrics = Metrics()
    for minute in range(10):
        metrics.put(LATENCY, minute * MINUTE, minute)
    assert metrics.statistic(LATENCY, "Sum", 60, 540, 180) == {60: 1 + 2 + 3, 240: 4 + 5 + 6, 420: 7 + 8}


def test_what_comes_late_is_added_to_its_minute() -> None:
    metrics = Metrics()
    for at in (0, 120, 61, 62, 5):
        metrics.put(LATENCY, at, 1)
    assert metrics.statistic(LATENCY, "Sum", 0, 180, 60) == {0: 2, 60: 2, 120: 1}


def test_old_datapoints_and_metrics_are_forgotten() -> None:
    metrics = Metrics()
    for minute in range(KEPT + 10):
        metrics.put(LATENCY, minute * MINUTE, 1)
    last = (KEPT + 10) * MINUTE
    assert len(metrics.points(LATENCY, 0, last, MINUTE)) == KEPT
    metrics.forget(last)
    assert list(metrics.known()) == [LATENCY]
    metrics.forget(last + KEPT * MINUTE)
    assert list(metrics.known()) == []
