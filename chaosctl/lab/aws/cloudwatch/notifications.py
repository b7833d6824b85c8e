"""Actions of alarms: a message to an SNS topic, in the form in which CloudWatch sends it, and on to its subscribers."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from typing import Any

import httpx
from moto.sns.models import sns_backends

from chaosctl.lab.aws.world import LOCK

log = logging.getLogger(__name__)

ATTEMPTS = 4  # for an HTTP endpoint: at once, then after 1, 2 and 4 seconds
TIMEOUT = 15.0  # seconds that SNS gives an endpoint


def publish(backend: Any, alarm: Any, action: str) -> None:
    """Carry out one action of an alarm that has just changed its state. Returns at once; HTTP endpoints are slow."""
    _, _, service, region, account, *_ = action.split(":", 5)
    if service != "sns":
        log.warning("alarm %s: the lab does not carry out %s", alarm.name, action)
        return
    with LOCK:
        topics = sns_backends[account][region]
        if action not in topics.topics:
            log.warning("alarm %s: there is no topic %s", alarm.name, action)
            return
        message, subject = json.dumps(body(backend, alarm)), subject_of(alarm, region)
        _to_subscribers(topics, action, message, subject)


def subject_of(alarm: Any, region: str) -> str:
    """Subject of a mail about it, at most 100 characters."""
    return f'{alarm.state_value}: "{alarm.name}" in {region}'[:100]


def body(backend: Any, alarm: Any) -> dict[str, Any]:
    """What CloudWatch writes into the message."""
    last = json.loads(alarm.history[-1]["HistoryData"]) if alarm.history else {}
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": backend.account_id,
        "AlarmArn": alarm.alarm_arn,
        "Region": backend.region_name,
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": alarm.state_updated_timestamp.isoformat(timespec="milliseconds") + "+0000",
        "OldStateValue": last.get("oldState", {}).get("stateValue", ""),
        "Trigger": {
            "MetricName": alarm.metric_name,
            "Namespace": alarm.namespace,
            "Period": alarm.period,
            "EvaluationPeriods": alarm.evaluation_periods,
            "DatapointsToAlarm": alarm.datapoints_to_alarm,
            "ComparisonOperator": alarm.comparison_operator,
            "Threshold": alarm.threshold,
            "TreatMissingData": alarm.treat_missing_data,
        },
    }


def _to_subscribers(topics: Any, arn: str, message: str, subject: str) -> None:
    message_id = str(uuid.uuid4())
    for subscription in [s for s in topics.subscriptions.values() if s.topic.arn == arn]:
        if subscription.protocol in ("http", "https"):
            post = subscription.get_post_data(message, message_id, subject)
            arguments = (subscription.endpoint, post, arn)
            threading.Thread(target=_post, args=arguments, name="sns delivery", daemon=True).start()
        else:
            subscription.publish(message, message_id, subject=subject)


def _post(endpoint: str, post: dict[str, Any], topic: str) -> None:
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-topic-arn": topic,
    }
    for attempt in range(ATTEMPTS):
        time.sleep(2 ** (attempt - 1) if attempt else 0)
        try:
            answer = httpx.post(endpoint, content=json.dumps(post), headers=headers, timeout=TIMEOUT, trust_env=False)
            if answer.is_success:
                return
            why = f"status {answer.status_code}"
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
    log.warning("a message for %s could not be delivered: %s", endpoint, why)
