"""Alarms of the lab's AWS through its API: metrics, evaluation, history, and what reaches a subscriber."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto.cloudwatch.models import cloudwatch_backends

from chaosctl.lab.aws import state
from chaosctl.lab.aws.cloudwatch import notifications
from chaosctl.lab.aws.cloudwatch.alarms import SETTLE, Alarms, metrics_of
from chaosctl.lab.aws.cloudwatch.certificates import Certificates
from chaosctl.lab.aws.cloudwatch.metrics import MINUTE, Metric
from chaosctl.lab.aws.world import Changes
from chaosctl.lab.pki import Authority, Identity, key_pem
from tests.contract.aws.conftest import Lab
from tests.contract.aws.subscriber import Received, subscriber

START = 1_800_000_000  # the beginning of a minute
LOAD_BALANCER = [{"Name": "LoadBalancer", "Value": "app/web/1"}]


class Clock:
    """Wall time that only the test moves."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pass_minute(lab: Lab, clock: Clock) -> Callable[..., str]:
    """Publish the values of one minute, let it end, and return the state of the alarm."""
    alarms = Alarms(Changes(), notifications.publish, clock)
    cloudwatch = lab.client("cloudwatch")

    def act(name: str = "errors", **values: list[float]) -> str:
        data = [
            {"MetricName": metric, "Dimensions": LOAD_BALANCER, "Timestamp": clock.now + 1, "Values": given}
            for metric, given in values.items()
        ]
        if data:
            cloudwatch.put_metric_data(Namespace="AWS/ApplicationELB", MetricData=data)
        clock.now += MINUTE
        clock.now = clock.now // MINUTE * MINUTE + SETTLE
        alarms.reconcile()
        return str(cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"])

    return act


def put(lab: Lab, **options: Any) -> None:
    given = {
        "AlarmName": "errors",
        "Namespace": "AWS/ApplicationELB",
        "MetricName": "HTTPCode_Target_5XX_Count",
        "Dimensions": LOAD_BALANCER,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 2,
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    lab.client("cloudwatch").put_metric_alarm(**{**given, **options})


def stat(id_: str, metric: str) -> dict[str, Any]:
    found = {"Namespace": "AWS/ApplicationELB", "MetricName": metric, "Dimensions": LOAD_BALANCER}
    return {"Id": id_, "MetricStat": {"Metric": found, "Period": 60, "Stat": "Sum"}, "ReturnData": False}


def test_a_new_alarm_has_insufficient_data_until_it_is_evaluated(lab: Lab, pass_minute: Callable[..., str]) -> None:
    put(lab)
    assert lab.client("cloudwatch").describe_alarms()["MetricAlarms"][0]["StateValue"] == "INSUFFICIENT_DATA"
    assert pass_minute() == "OK"


def test_two_of_three_minutes(lab: Lab, pass_minute: Callable[..., str]) -> None:
    put(lab)
    minutes = [[1], [9], [1], [9], [1], [1]]
    states = [pass_minute(HTTPCode_Target_5XX_Count=values) for values in minutes]
    assert states == ["OK", "OK", "OK", "ALARM", "OK", "OK"]


def test_an_alarm_on_an_expression(lab: Lab, pass_minute: Callable[..., str]) -> None:
    expression = {"Id": "rate", "Expression": "100 * FILL(errors, 0) / requests", "ReturnData": True}
    metrics = [stat("errors", "HTTPCode_Target_5XX_Count"), stat("requests", "RequestCount"), expression]
    lab.client("cloudwatch").put_metric_alarm(
        AlarmName="errors",
        Metrics=metrics,
        EvaluationPeriods=1,
        Threshold=5.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    assert pass_minute(RequestCount=[100]) == "OK"
    assert pass_minute(RequestCount=[100], HTTPCode_Target_5XX_Count=[6]) == "ALARM"


def test_few_values_say_nothing_about_a_percentile(lab: Lab, pass_minute: Callable[..., str]) -> None:
    put(lab, MetricName="TargetResponseTime", EvaluationPeriods=1, DatapointsToAlarm=1, Threshold=1.0,
        EvaluateLowSampleCountPercentile="ignore")  # fmt: skip
    cloudwatch = lab.client("cloudwatch")
    assert pass_minute(TargetResponseTime=[9.0]) == "ALARM"
    alarm = cloudwatch.describe_alarms()["MetricAlarms"][0]
    kept = {key: alarm[key] for key in ("Namespace", "MetricName", "Dimensions", "Period", "EvaluationPeriods")}
    kept |= {key: alarm[key] for key in ("Threshold", "ComparisonOperator", "TreatMissingData")}
    cloudwatch.put_metric_alarm(
        AlarmName="errors", ExtendedStatistic="p95", EvaluateLowSampleCountPercentile="ignore", **kept
    )
    assert pass_minute(TargetResponseTime=[9.0] * 100) == "OK"  # 200 is the least for p95
    assert pass_minute(TargetResponseTime=[9.0] * 200) == "ALARM"


def test_an_alarm_that_is_put_again_keeps_its_state_and_history(lab: Lab, pass_minute: Callable[..., str]) -> None:
    put(lab, EvaluationPeriods=1, DatapointsToAlarm=1)
    assert pass_minute(HTTPCode_Target_5XX_Count=[9]) == "ALARM"
    cloudwatch = lab.client("cloudwatch")
    before = cloudwatch.describe_alarms()["MetricAlarms"][0]
    put(lab, EvaluationPeriods=1, DatapointsToAlarm=1, Threshold=6.0)
    after = cloudwatch.describe_alarms()["MetricAlarms"][0]
    assert (after["StateValue"], after["Threshold"]) == ("ALARM", 6.0)
    assert after["StateTransitionedTimestamp"] == before["StateTransitionedTimestamp"]
    assert pass_minute(HTTPCode_Target_5XX_Count=[0]) == "OK"
    history = cloudwatch.describe_alarm_history(AlarmName="errors")["AlarmHistoryItems"]
    assert [item["HistorySummary"] for item in history] == [
        "Alarm updated from ALARM to OK",
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
    ]


def test_metrics_and_alarms_survive_a_restart(lab: Lab, pass_minute: Callable[..., str]) -> None:
    put(lab)
    pass_minute(HTTPCode_Target_5XX_Count=[9])
    state.restore(state.snapshot())
    assert pass_minute(HTTPCode_Target_5XX_Count=[9]) == "ALARM"


def test_percentiles_and_expressions_can_be_asked_for(lab: Lab) -> None:
    cloudwatch = lab.client("cloudwatch")
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    values = {"Values": [0.1, 0.2, 0.9], "Counts": [90.0, 8.0, 2.0]}
    datum = {"MetricName": "TargetResponseTime", "Dimensions": LOAD_BALANCER, "Timestamp": now, "Unit": "Seconds"}
    cloudwatch.put_metric_data(Namespace="AWS/ApplicationELB", MetricData=[{**datum, **values}])
    span = {"StartTime": now - timedelta(minutes=1), "EndTime": now + timedelta(minutes=1)}
    statistics = cloudwatch.get_metric_statistics(
        Namespace="AWS/ApplicationELB", MetricName="TargetResponseTime", Dimensions=LOAD_BALANCER, Period=60,
        Statistics=["Average", "SampleCount"], ExtendedStatistics=["p50", "p99"], **span,
    )["Datapoints"]  # fmt: skip
    assert [(d["Timestamp"], d["Unit"], d["SampleCount"], d["ExtendedStatistics"]) for d in statistics] == [
        (now, "Seconds", 100.0, {"p50": 0.1, "p99": 0.9})
    ]
    asked = stat("t", "TargetResponseTime")
    asked["MetricStat"]["Stat"] = "p95"
    expression = {"Id": "ms", "Expression": "1000 * t", "Label": "milliseconds"}
    [found] = cloudwatch.get_metric_data(MetricDataQueries=[asked, expression], **span)["MetricDataResults"]
    assert (found["Id"], found["Label"], found["Values"], found["Timestamps"]) == ("ms", "milliseconds", [200.0], [now])
    listed = cloudwatch.list_metrics(Namespace="AWS/ApplicationELB", Dimensions=[{"Name": "LoadBalancer"}])["Metrics"]
    assert [metric["Dimensions"] for metric in listed] == [LOAD_BALANCER]


def days_left(lab: Lab, arn: str, clock: Clock) -> list[float]:
    """Whatever was published of a certificate up to now."""
    metric = Metric.of("AWS/CertificateManager", "DaysToExpiry", {"CertificateArn": arn})
    return [
        value
        for _, _, backend in list(cloudwatch_backends.iter_backends())
        for point in metrics_of(backend).points(metric, START, clock.now + MINUTE, MINUTE).values()
        for value in point.values
    ]


def imported(lab: Lab, clock: Clock, days: int, **more: str) -> str:
    """ARN of a certificate that has so many days left."""
    key = ec.generate_private_key(ec.SECP256R1())
    lasts = datetime.fromtimestamp(clock.now, UTC) - datetime.now(UTC) + timedelta(days=days, hours=1)
    made = Authority.new("test").certify(Identity("", "x.org", names=("x.org",)), key.public_key(), lasts)
    pem = made.public_bytes(serialization.Encoding.PEM)
    acm = lab.client("acm")
    return str(acm.import_certificate(Certificate=pem, PrivateKey=key_pem(key), **more)["CertificateArn"])


def test_of_a_certificate_the_days_are_told_and_of_a_new_one_in_its_place_at_once(lab: Lab, clock: Clock) -> None:
    certificates = Certificates(clock)
    arn = imported(lab, clock, 20)
    for _ in range(2):
        certificates.reconcile()
    assert days_left(lab, arn, clock) == [20]
    assert imported(lab, clock, 200, CertificateArn=arn) == arn
    clock.now += MINUTE
    certificates.reconcile()
    assert days_left(lab, arn, clock) == [20, 200]


def test_a_certificate_that_is_not_issued_yet_has_no_days(lab: Lab, clock: Clock) -> None:
    arn = lab.client("acm").request_certificate(DomainName="x.org", ValidationMethod="DNS")["CertificateArn"]
    Certificates(clock).reconcile()
    assert days_left(lab, arn, clock) == []


@pytest.fixture
def unsteady() -> Iterator[tuple[str, Received]]:
    """A subscriber that refuses the first message once."""
    with subscriber(refusals=1) as listening:
        yield listening


def test_subscribers_are_told_of_each_change(
    lab: Lab, pass_minute: Callable[..., str], unsteady: tuple[str, Received]
) -> None:
    url, received = unsteady
    sns, sqs = lab.client("sns"), lab.client("sqs")
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    queue_url = sqs.create_queue(QueueName="told")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=url)
    put(lab, EvaluationPeriods=1, DatapointsToAlarm=1, AlarmActions=[topic], OKActions=[topic])
    assert [pass_minute(HTTPCode_Target_5XX_Count=values) for values in ([9], [9], [0])] == ["ALARM", "ALARM", "OK"]

    told = [json.loads(received.get(timeout=30)["Message"]) for _ in range(2)]
    changes = [("INSUFFICIENT_DATA", "ALARM"), ("ALARM", "OK")]
    assert sorted((m["OldStateValue"], m["NewStateValue"]) for m in told) == sorted(changes)
    messages = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)["Messages"]
    assert [json.loads(m["Body"])["Subject"] for m in messages] == [
        'ALARM: "errors" in us-west-2',
        'OK: "errors" in us-west-2',
    ]
    assert received.empty()
