"""CloudWatch alarms, as far as an on-call person asks first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chaosctl.adapters.aws import Aws

FIRING, UNKNOWN = "ALARM", "INSUFFICIENT_DATA"  # the third state is OK


@dataclass(frozen=True)
class Alarm:
    """An alarm: its state (OK, ALARM or INSUFFICIENT_DATA), since when (UTC), and what CloudWatch says of it."""

    name: str
    state: str
    since: str
    reason: str
    description: str = ""


def alarms(aws: Aws, prefix: str) -> list[Alarm]:
    """All alarms whose names begin with `prefix`, metric and composite ones; those that fire first."""
    kinds = {"MetricAlarms": ["MetricAlarm"], "CompositeAlarms": ["CompositeAlarm"]}
    found = [
        Alarm(
            name=alarm["AlarmName"],
            state=alarm["StateValue"],
            since=_utc(alarm.get("StateUpdatedTimestamp")),
            reason=alarm.get("StateReason", ""),
            description=alarm.get("AlarmDescription", ""),
        )
        for key, types in kinds.items()
        for alarm in aws.pages("cloudwatch", "describe_alarms", key, AlarmNamePrefix=prefix, AlarmTypes=types)
    ]
    return sorted(found, key=lambda a: (a.state != FIRING, a.state != UNKNOWN, a.name))


def _utc(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment else ""
