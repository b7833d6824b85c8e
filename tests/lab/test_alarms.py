"""Alarm drills: every alarm of a deployment in the lab goes off, is over again, and reaches a subscriber."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest

from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak]
CLUSTER = "chaotic-backend-cluster"
PATIENCE = 600  # seconds for an alarm


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[str, queue.Queue[tuple[str, str]]]]:
    """A subscriber: its URL, and the (alarm, state) pairs that reached it."""
    received: queue.Queue[tuple[str, str]] = queue.Queue()

    class Subscriber(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            envelope = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if envelope["Type"] == "Notification":
                message = json.loads(envelope["Message"])
                received.put((message["AlarmName"].partition("/")[2], message["NewStateValue"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Subscriber)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", received
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory, told: tuple[str, queue.Queue[tuple[str, str]]]) -> Iterator[User]:
    user = User(tmp_path_factory.mktemp("user"))
    (user.home / "chaosctl.toml").write_text(f'[infra]\nalarm_endpoints = ["{told[0]}"]\n')
    user.chaosctl("up")
    yield user
    user.chaosctl("lab", "stop", "--yes", status=None)


def client(user: User, service: str) -> Any:
    env = user.json("lab", "env")
    make: Any = boto3.client
    return make(
        service,
        region_name="us-west-2",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )


def wait_for(user: User, alarm: str, state: str) -> float:
    """Wait until the alarm is in that state; returns after how many seconds."""
    cloudwatch, begun = client(user, "cloudwatch"), time.monotonic()
    while True:
        [found] = cloudwatch.describe_alarms(AlarmNames=[f"{CLUSTER}/{alarm}"])["MetricAlarms"]
        if found["StateValue"] == state:
            return time.monotonic() - begun
        assert time.monotonic() - begun < PATIENCE, found["StateReason"]
        time.sleep(1)


def test_the_scenario_sees_six_alarms_go_off_and_be_over(
    user: User, told: tuple[str, queue.Queue[tuple[str, str]]]
) -> None:
    result = user.json("chaos", "run", "alarms")
    assert result["verdict"] == "PASS", result
    drilled = {alarm["name"]: alarm for step in result["steps"] for alarm in step["alarms"]}
    assert set(drilled) == {"5xx", "latency", "few-targets", "few-nodes", "crash-loop", "unready-pods"}
    assert all(alarm["went_off"] and alarm["was_over"] for alarm in drilled.values())
    seen: set[tuple[str, str]] = set()
    while not {(name, state) for name in drilled for state in ("ALARM", "OK")} <= seen:
        seen.add(told[1].get(timeout=60))


def test_a_target_that_only_the_load_balancer_cannot_reach(user: User) -> None:
    elbv2 = client(user, "elbv2")
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
    acm, cloudwatch = client(user, "acm"), client(user, "cloudwatch")
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
