"""The figures of `top`, from an AWS that answers by hand, and without Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chaosctl.adapters.elb import CLUSTER_TAG
from chaosctl.config import Settings
from chaosctl.errors import PreconditionFailed
from chaosctl.events import ignore
from chaosctl.queries.watching import Sight, Watching
from chaosctl.stages.stage import Context
from chaosctl.target import Target

SETTINGS = Settings(namespace="shop", release="web")
ARN = "arn:aws:elasticloadbalancing:us-west-2:1:{}"
OURS, OTHERS = ARN.format("loadbalancer/app/ours/1"), ARN.format("loadbalancer/app/others/2")
BALANCER, GROUP = ("LoadBalancer", "app/ours/1"), ("TargetGroup", "targetgroup/web/3")


class FakeAws:
    """Two load balancers, one of them of the cluster; `values` of the last full minute by metric and statistic."""

    def __init__(self, values: dict[tuple[str, str], float], owner: str = SETTINGS.cluster_name) -> None:
        self._values, self._owner = values, owner
        self.asked: dict[str, set[tuple[str, str]]] = {}

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        return iter(getattr(self, operation)(**arguments))

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        return getattr(self, operation)(**arguments)

    def describe_load_balancers(self) -> list[dict[str, Any]]:
        return [
            {"LoadBalancerArn": arn, "LoadBalancerName": "lb", "State": {"Code": "active"}} for arn in (OTHERS, OURS)
        ]

    def describe_tags(self, ResourceArns: list[str]) -> dict[str, Any]:
        owners = {OTHERS: "another", OURS: self._owner}
        tags = [{"ResourceArn": arn, "Tags": [{"Key": CLUSTER_TAG, "Value": owners[arn]}]} for arn in ResourceArns]
        return {"TagDescriptions": tags}

    def describe_target_groups(self, LoadBalancerArn: str) -> list[dict[str, Any]]:
        assert LoadBalancerArn == OURS
        return [{"TargetGroupArn": ARN.format("targetgroup/web/3")}]

    def get_metric_data(self, MetricDataQueries: list[Any], EndTime: datetime, **_: Any) -> Iterator[dict[str, Any]]:
        last = EndTime - timedelta(minutes=2)  # the end is that of the minute which runs
        for query in MetricDataQueries:
            stat, metric = query["MetricStat"], query["MetricStat"]["Metric"]
            self.asked[metric["MetricName"]] = {(d["Name"], d["Value"]) for d in metric["Dimensions"]}
            value = self._values.get((metric["MetricName"], stat["Stat"]))
            known = value is not None
            yield {"Id": query["Id"], "Timestamps": [last] * known, "Values": [value] * known}

    def describe_alarms(self, AlarmNamePrefix: str) -> list[dict[str, Any]]:
        return [{"AlarmName": f"{AlarmNamePrefix}5xx", "StateValue": "OK"}]


def look(aws: FakeAws, directory: Path) -> Sight:
    context = Context(SETTINGS, Target("lab", "us-west-2", {}, {}, "bucket"), ignore, lambda *_: {}, directory)
    context.__dict__["aws"] = aws
    return Watching(context).look()


def last(sight: Sight) -> dict[str, float | None]:
    return {figure.name: figure.last for figure in sight.figures}


def test_what_is_asked_of_cloudwatch_names_our_load_balancer_and_workload(tmp_path: Path) -> None:
    aws = FakeAws({})
    sight = look(aws, tmp_path)
    cluster = ("ClusterName", SETTINGS.cluster_name)
    assert aws.asked["RequestCount"] == {BALANCER}
    assert aws.asked["HealthyHostCount"] == {BALANCER, GROUP}
    assert aws.asked["cluster_node_count"] == {cluster}
    assert aws.asked["replicas_ready"] == {cluster, ("Namespace", "shop"), ("PodName", "web")}
    assert ([alarm.short for alarm in sight.alarms], sight.until.tzinfo) == (["5xx"], UTC)


def test_each_figure_is_that_of_its_metric_and_statistic(tmp_path: Path) -> None:
    given = {("RequestCount", "Sum"): 600.0, ("TargetResponseTime", "p95"): 0.25, ("HealthyHostCount", "Minimum"): 3.0}
    found = last(look(FakeAws(given), tmp_path))
    assert (found["requests"], found["response time p95"], found["healthy targets"]) == (10, 250, 3)
    assert (found["response time p99"], found["5xx of targets"]) == (None, 0)


@pytest.mark.parametrize(
    ("given", "percent"),
    [
        ({"RequestCount": 200.0}, 0),
        ({"RequestCount": 200.0, "HTTPCode_Target_5XX_Count": 3.0, "HTTPCode_ELB_5XX_Count": 1.0}, 2),
        ({"HTTPCode_ELB_5XX_Count": 7.0, "HTTPCode_ELB_503_Count": 7.0}, 100),  # no target: no RequestCount either
        ({}, None),
    ],
)
def test_the_error_rate_is_of_all_requests(given: dict[str, float], percent: float | None, tmp_path: Path) -> None:
    aws = FakeAws({(metric, "Sum"): value for metric, value in given.items()})
    assert last(look(aws, tmp_path))["errors (5xx), of all requests"] == percent


def test_without_a_load_balancer_of_ours_there_is_nothing_to_watch(tmp_path: Path) -> None:
    with pytest.raises(PreconditionFailed) as failure:
        look(FakeAws({}, owner="a third one"), tmp_path)
    assert failure.value.code == "APP-MISSING"
