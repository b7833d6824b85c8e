"""CloudWatch: composite alarms."""

from __future__ import annotations

from typing import Any

from moto.cloudwatch.responses import CloudWatchResponse


def apply() -> None:
    """PutCompositeAlarm answers 500, although moto's alarms can hold a rule."""

    def put_composite_alarm(self: CloudWatchResponse) -> Any:
        return self.put_metric_alarm()

    CloudWatchResponse.put_composite_alarm = put_composite_alarm
