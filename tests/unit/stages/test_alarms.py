from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from moto import mock_aws

from chaosctl.adapters import elb
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.elb import LoadBalancer
from chaosctl.adapters.kube import DISRUPTION_BUDGETS, INGRESSES
from chaosctl.config import InfraSettings, Settings
from chaosctl.errors import PreconditionFailed
from chaosctl.events import ignore
from chaosctl.stages import alarms, entrance
from chaosctl.stages.entrance import CERTIFICATE, Entrance
from chaosctl.stages.stage import Context
from chaosctl.target import Target
from tests.unit.stages.fakes import FakeKube

ENV = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}
CLUSTER = APP = "chaotic-backend"
PREFIX = "arn:aws:elasticloadbalancing:us-west-2:123456789012:"
GROUP = PREFIX + "targetgroup/web/0123456789abcdef"
DOOR = Entrance(
    "http://web",
    LoadBalancer(PREFIX + "loadbalancer/app/web/0123456789abcdef", "web", "web", "active", "internet-facing"),
    (),  # no target is registered: the app was scaled to nothing, and is watched all the same
)


@pytest.fixture(autouse=True)
def group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elb, "attached_groups", lambda *_: [GROUP])


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        yield Aws(ENV, "us-west-2")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    settings = Settings(cluster_name=CLUSTER)
    return Context(settings, Target("test", "us-west-2", ENV, {}, "state"), ignore, lambda *names: {}, tmp_path)


def access(aws: Aws, budget: Any = None, **annotations: str) -> Any:
    kube = FakeKube()
    kube.put(INGRESSES, {"metadata": {"name": APP, "namespace": APP, "annotations": annotations}})
    if budget is not None:
        kube.put(DISRUPTION_BUDGETS, {"metadata": {"name": APP, "namespace": APP}, "spec": {"minAvailable": budget}})
    return SimpleNamespace(aws=aws, kube=kube)


def test_the_module_is_told_what_cloudwatch_calls_things(
    aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance, "entrance", lambda *_: DOOR)
    wanted = alarms.variables(context, access(aws, budget=2))
    assert wanted["load_balancer"] == "app/web/0123456789abcdef"
    assert wanted["target_group"] == "targetgroup/web/0123456789abcdef"
    assert wanted["topic_arn"] == f"arn:aws:sns:us-west-2:123456789012:{CLUSTER}-alarms"
    assert (wanted["least_targets"], wanted["least_nodes"], wanted["certificate_arn"]) == (2, 2, None)


def test_without_container_insights_the_module_is_told(
    aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance, "entrance", lambda *_: DOOR)
    assert alarms.variables(context, access(aws))["container_insights"] is True
    without = replace(context, settings=Settings(cluster_name=CLUSTER, infra=InfraSettings(container_insights=False)))
    assert alarms.variables(without, access(aws))["container_insights"] is False


@pytest.mark.parametrize(("budget", "least"), [(None, 1), ("50%", 1), (3, 3)])
def test_the_fewest_targets_are_those_of_the_disruption_budget(
    aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch, budget: Any, least: int
) -> None:
    monkeypatch.setattr(entrance, "entrance", lambda *_: DOOR)
    assert alarms.variables(context, access(aws, budget))["least_targets"] == least


def test_the_first_certificate_is_watched(aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "entrance", lambda *_: DOOR)
    found = alarms.variables(context, access(aws, **{CERTIFICATE: "arn:a, arn:b"}))
    assert found["certificate_arn"] == "arn:a"


@pytest.mark.parametrize("door", [None, DOOR])
def test_without_a_load_balancer_and_its_target_group_nothing_can_be_watched(
    aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch, door: Entrance | None
) -> None:
    monkeypatch.setattr(entrance, "entrance", lambda *_: door)
    monkeypatch.setattr(elb, "attached_groups", lambda *_: [])
    with pytest.raises(PreconditionFailed) as told:
        alarms.variables(context, access(aws))
    assert told.value.code == "APP-MISSING"


def put_alarm(aws: Aws, name: str, environment: str) -> None:
    tags = {"chaosctl:cluster": CLUSTER, "chaosctl:environment": environment}
    aws.call(
        "cloudwatch",
        "put_metric_alarm",
        AlarmName=name,
        MetricName="m",
        Namespace="n",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )


def test_what_watches_is_removed_and_its_state_too_and_nothing_else(aws: Aws, context: Context) -> None:
    for name, environment in (
        (f"{CLUSTER}/5xx", "default"),
        (f"{CLUSTER}/x", "other"),
        (f"{CLUSTER}-2/5xx", "default"),
    ):
        put_alarm(aws, name, environment)
    aws.call("cloudwatch", "put_dashboard", DashboardName=CLUSTER, DashboardBody='{"t": "environment default"}')
    where = {"LocationConstraint": "us-west-2"}
    aws.call("s3", "create_bucket", Bucket="state", CreateBucketConfiguration=where)
    for key in ("chaosctl/bootstrap", "default/alarms.tfstate", "default/terraform.tfstate"):
        aws.call("s3", "put_object", Bucket="state", Key=key, Body=b"x")

    assert alarms.remove(context).changed
    left = [a["AlarmName"] for a in aws.pages("cloudwatch", "describe_alarms", "MetricAlarms")]
    assert sorted(left) == [f"{CLUSTER}-2/5xx", f"{CLUSTER}/x"]
    assert list(aws.pages("cloudwatch", "list_dashboards", "DashboardEntries")) == []
    keys = [item["Key"] for item in aws.pages("s3", "list_objects_v2", "Contents", Bucket="state")]
    assert keys == ["chaosctl/bootstrap", "default/terraform.tfstate"]
    assert not alarms.remove(context).changed
