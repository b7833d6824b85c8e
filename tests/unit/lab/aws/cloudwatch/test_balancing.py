from __future__ import annotations

from pathlib import Path

import pytest

from chaosctl.lab.aws.cloudwatch import balancing
from chaosctl.lab.aws.cloudwatch.access_log import AccessLog, Request, parse
from chaosctl.lab.aws.cloudwatch.metrics import Metric, Metrics

LB, TG = "app/web/aa", "targetgroup/app/bb"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("aa tg-bb s1 200 12 --", Request("aa", "bb", 200, True, 0.012)),
        ("aa tg-bb s1 502 -1 SH", Request("aa", "bb", 502, True, None)),  # it was reached and went away
        ("aa tg-bb s1 504 -1 sH", Request("aa", "bb", 504, True, None)),  # it was reached and took too long
        ("aa tg-bb s1 503 -1 SC", Request("aa", "bb", 503, True, None, refused=True)),
        ("aa tg-bb s1 503 -1 sC", Request("aa", "bb", 503, True, None, refused=True)),
        ("aa tg-bb <NOSRV> 503 -1 SC", Request("aa", "bb", 503, False, None)),  # there was none to connect to
        ("aa tg-bb <NOSRV> 503 -1 --", Request("aa", "bb", 503, False, None)),
        ("aa port-80 <NOSRV> 301 0 --", Request("aa", "", 301, False, None)),
        ("aa tg-bb s1 -1 -1 --", Request("aa", "bb", 0, True, None)),
        ("127.0.0.1:1 [..] port-443/1: SSL handshake failure", None),
        ("", None),
    ],
)
def test_lines(line: str, expected: Request | None) -> None:
    assert parse(line) == expected


def values(metrics: Metrics) -> dict[tuple[str, int], float]:
    """Sums, by name and number of dimensions."""
    found = {}
    for metric in metrics.known(balancing.NAMESPACE):
        found[metric.name, len(metric.dimensions)] = metrics.points(metric, 0, 60, 60)[0].total
    return found


def published(*lines: str) -> Metrics:
    log, metrics = AccessLog(Path("unused"), clock=lambda: 30.0), Metrics()
    for line in lines:
        log.take(line)
    for (minute, _, group), sums in log.drain().items():
        balancing.publish(metrics, minute, LB, TG if group else "", sums)
    return metrics


def test_what_targets_answer_counts_for_the_load_balancer_and_the_target_group() -> None:
    metrics = published("aa tg-bb s1 200 10 --", "aa tg-bb s1 204 20 --", "aa tg-bb s2 500 30 --")
    assert values(metrics) == {
        ("RequestCount", 1): 3,
        ("RequestCount", 2): 3,
        ("HTTPCode_Target_2XX_Count", 1): 2,
        ("HTTPCode_Target_2XX_Count", 2): 2,
        ("HTTPCode_Target_5XX_Count", 1): 1,
        ("HTTPCode_Target_5XX_Count", 2): 1,
        ("TargetResponseTime", 1): pytest.approx(0.06),
        ("TargetResponseTime", 2): pytest.approx(0.06),
    }


def test_what_the_load_balancer_answers_itself_is_no_answer_of_a_target() -> None:
    lines = (
        "aa tg-bb <NOSRV> 503 -1 SC",
        "aa tg-bb s1 502 -1 SC",
        "aa tg-bb s1 504 -1 sH",
        "aa port-80 <NOSRV> 404 -1 PR",
    )
    metrics = published(*lines)
    assert values(metrics) == {
        ("RequestCount", 1): 2,  # only where a target was chosen
        ("RequestCount", 2): 2,
        ("TargetConnectionErrorCount", 1): 1,
        ("TargetConnectionErrorCount", 2): 1,
        ("HTTPCode_ELB_5XX_Count", 1): 3,
        ("HTTPCode_ELB_502_Count", 1): 1,
        ("HTTPCode_ELB_503_Count", 1): 1,
        ("HTTPCode_ELB_504_Count", 1): 1,
        ("HTTPCode_ELB_4XX_Count", 1): 1,
    }


def test_redirects_have_a_metric_of_their_own_too() -> None:
    metrics = published("aa port-80 <NOSRV> 301 0 LR", "aa tg-bb s1 302 5 --")
    assert values(metrics)["HTTP_Redirect_Count", 1] == values(metrics)["HTTPCode_ELB_3XX_Count", 1] == 1


def test_percentiles_of_the_response_time() -> None:
    metrics = published(*["aa tg-bb s1 200 10 --"] * 98, "aa tg-bb s1 200 900 --", "aa tg-bb s1 200 900 --")
    metric = Metric.of(balancing.NAMESPACE, "TargetResponseTime", {"LoadBalancer": LB})
    point = metrics.points(metric, 0, 60, 60)[0]
    assert (point.statistic("p50"), point.statistic("p99"), metrics.unit(metric)) == (0.01, 0.9, "Seconds")


def test_the_dimensions_are_the_ends_of_the_arns() -> None:
    prefix = "arn:aws:elasticloadbalancing:us-west-2:123456789012:"
    assert balancing.dimension_of(prefix + "loadbalancer/app/web/aa") == LB
    assert balancing.dimension_of(prefix + "targetgroup/app/bb") == TG
