"""Alarm drills: every alarm of a deployment in the lab goes off, is over again, and reaches a subscriber."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.contract.aws.subscriber import Received, subscriber
from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.usefixtures("deployed")]
CLUSTER = "chaotic-backend-cluster"
PATIENCE = 600  # seconds for an alarm


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[str, Received]]:
    with subscriber() as listening:
        yield listening


@pytest.fixture(scope="module")
def user(newcomer: User, told: tuple[str, Received]) -> User:
    (newcomer.home / "chaosctl.toml").write_text(f'[infra]\nalarm_endpoints = ["{told[0]}"]\n')
    return newcomer


def wait_for(user: User, alarm: str, state: str) -> float:
    """Wait until the alarm is in that state; returns after how many seconds."""
    cloudwatch, begun = user.aws("cloudwatch"), time.monotonic()
    while True:
        [found] = cloudwatch.describe_alarms(AlarmNames=[f"{CLUSTER}/{alarm}"])["MetricAlarms"]
        if found["StateValue"] == state:
            return time.monotonic() - begun
        assert time.monotonic() - begun < PATIENCE, found["StateReason"]
        time.sleep(1)


def test_the_scenario_sees_six_alarms_go_off_and_be_over(user: User, told: tuple[str, Received]) -> None:
    result = user.json("chaos", "run", "alarms", timeout=3600)
    assert result["verdict"] == "PASS", result
    drilled = {alarm["name"]: alarm for step in result["steps"] for alarm in step["alarms"]}
    assert set(drilled) == {"5xx", "latency", "few-targets", "few-nodes", "crash-loop", "unready-pods"}
    assert all(alarm["went_off"] and alarm["was_over"] for alarm in drilled.values())
    seen: set[tuple[str, str]] = set()
    while not {(name, state) for name in drilled for state in ("ALARM", "OK")} <= seen:
        envelope = told[1].get(timeout=60)
        if envelope["Type"] == "Notification":
            message = json.loads(envelope["Message"])
            seen.add((message["AlarmName"].partition("/")[2], message["NewStateValue"]))


def test_a_target_that_only_the_load_balancer_cannot_reach(user: User) -> None:
    elbv2 = user.aws("elbv2")
    [group] = elbv2.describe_target_groups()["TargetGroups"]
    arn = group["TargetGroupArn"]
    wait_for(user, "unhealthy-targets", "OK")
    elbv2.modify_target_group(TargetGroupArn=arn, HealthCheckPath="/no-such-path")
    try:
        assert wait_for(user, "unhealthy-targets", "ALARM") > 0
    finally:
        elbv2.modify_target_group(TargetGroupArn=arn, HealthCheckPath=group["HealthCheckPath"])
    assert wait_for(user, "unhealthy-targets", "OK") > 0


def test_a_certificate_near_its_end(user: User) -> None:
    """An alarm like that of terraform/alarms on an imported certificate; with TLS the stage makes it."""
    acm, cloudwatch = user.aws("acm"), user.aws("cloudwatch")
    arn = acm.request_certificate(DomainName="drill.example")["CertificateArn"]
    name = f"{CLUSTER}/drill-certificate"
    rule = {
        "AlarmName": name,
        "Namespace": "AWS/CertificateManager",
        "MetricName": "DaysToExpiry",
        "Dimensions": [{"Name": "CertificateArn", "Value": arn}],
        "Statistic": "Minimum",
        "Period": 86400,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "LessThanThreshold",
    }
    try:
        cloudwatch.put_metric_alarm(**rule, Threshold=400)  # moto issues for a year
        wait_for(user, "drill-certificate", "ALARM")
        cloudwatch.put_metric_alarm(**rule, Threshold=30)
        wait_for(user, "drill-certificate", "OK")
    finally:
        cloudwatch.delete_alarms(AlarmNames=[name])
        acm.delete_certificate(CertificateArn=arn)


def test_down_leaves_none_of_it(user: User) -> None:
    done = user.json("down", "--yes")
    assert done["left"] == []
