"""Alarms, dashboards and metrics, as CloudWatch tells them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chaosctl.adapters.aws import Aws

QUERIES_AT_ONCE = 500  # that GetMetricData takes
SETTLING = timedelta(minutes=4)  # two periods of evaluation, and the time until their metrics are published
FIRST = timedelta(minutes=2)  # within which a new alarm has been judged; what comes later, data have brought about


@dataclass(frozen=True)
class Alarm:
    """An alarm. `state` is OK, ALARM or INSUFFICIENT_DATA, since `since` (None: since it was made)."""

    name: str
    state: str
    reason: str
    since: datetime | None
    description: str = ""
    arn: str = ""
    changed: datetime | None = None  # when somebody made it, or changed what it watches
    period: int = 60  # seconds; the longest of an expression

    @property
    def settling(self) -> bool:
        """Whether its state is that of the first minutes, when there is nothing yet that it could have judged.

        Where missing data counts as breaching, a new alarm goes off at once. What goes off later has seen something.
        """
        return self._as_it_began(SETTLING, FIRST)

    @property
    def blind(self) -> bool:
        """Whether it has nothing to judge, although what it watches must have been published by now.

        What is published once a day may take a day to come. After that, no data mean that nobody looks.
        """
        first = max(SETTLING, timedelta(seconds=self.period))
        return self.state == "INSUFFICIENT_DATA" and not self._as_it_began(first, first)

    def _as_it_began(self, young: timedelta, first: timedelta) -> bool:
        """Whether it is not older than `young`, and its state is one of its `first` time."""
        since = self.since or self.changed
        if since is None or self.changed is None or datetime.now(UTC) - self.changed > young:
            return False
        return since - self.changed < first

    @property
    def short(self) -> str:
        """Its name without the cluster's."""
        return self.name.partition("/")[2]


@dataclass(frozen=True)
class Statistic:
    """What is asked of a metric: `statistic` as CloudWatch spells it, for periods of `period` seconds."""

    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    statistic: str
    period: int = 60


def alarms(aws: Aws, cluster: str) -> list[Alarm]:
    """Those of a deployment, in the order of their names."""
    found = aws.pages("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{cluster}/")
    return sorted((_alarm(item) for item in found), key=lambda alarm: alarm.name)


def _alarm(item: Mapping[str, Any]) -> Alarm:
    return Alarm(
        name=item["AlarmName"],
        state=item["StateValue"],
        reason=item.get("StateReason", ""),
        since=item.get("StateTransitionedTimestamp"),
        description=item.get("AlarmDescription", ""),
        arn=item.get("AlarmArn", ""),
        changed=item.get("AlarmConfigurationUpdatedTimestamp"),
        period=_period(item),
    )


def _period(item: Mapping[str, Any]) -> int:
    of_metrics = [query["MetricStat"]["Period"] for query in item.get("Metrics", ()) if "MetricStat" in query]
    return int(max(of_metrics, default=item.get("Period") or 60))


def values(
    aws: Aws, wanted: Sequence[Statistic], *, minutes: int, until: datetime | None = None
) -> list[list[tuple[datetime, float]]]:
    """For each of `wanted` its values of the last `minutes`, the oldest first; the minute that runs is among them."""
    end = (until or datetime.now(UTC)).replace(second=0, microsecond=0) + timedelta(minutes=1)
    queries = [_query(f"q{number}", one) for number, one in enumerate(wanted)]
    found: dict[str, list[tuple[datetime, float]]] = {query["Id"]: [] for query in queries}
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        results = aws.pages(
            "cloudwatch",
            "get_metric_data",
            "MetricDataResults",
            MetricDataQueries=queries[start : start + QUERIES_AT_ONCE],
            StartTime=end - timedelta(minutes=minutes),
            EndTime=end,
            ScanBy="TimestampAscending",
        )
        for result in results:
            found[result["Id"]] += zip(result["Timestamps"], result["Values"], strict=True)
    return [sorted(found[query["Id"]]) for query in queries]


def _query(id_: str, wanted: Statistic) -> dict[str, Any]:
    metric = {
        "Namespace": wanted.namespace,
        "MetricName": wanted.metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in wanted.dimensions.items()],
    }
    return {"Id": id_, "MetricStat": {"Metric": metric, "Period": wanted.period, "Stat": wanted.statistic}}


def tagged_alarms(aws: Aws, cluster: str) -> Iterator[tuple[Alarm, dict[str, str]]]:
    """The alarms of a cluster with their tags."""
    for alarm in alarms(aws, cluster):
        tags = aws.call("cloudwatch", "list_tags_for_resource", ResourceARN=alarm.arn)["Tags"]
        yield alarm, {tag["Key"]: tag["Value"] for tag in tags}


def dashboard(aws: Aws, name: str) -> str | None:
    """The text of a dashboard; None when there is none of that name."""
    entries = aws.pages("cloudwatch", "list_dashboards", "DashboardEntries", DashboardNamePrefix=name)
    if all(entry["DashboardName"] != name for entry in entries):
        return None
    return str(aws.call("cloudwatch", "get_dashboard", DashboardName=name)["DashboardBody"])


def dimension_of(arn: str) -> str:
    """What CloudWatch calls a load balancer (app/NAME/ID) or a target group (targetgroup/NAME/ID)."""
    return arn.rpartition(":")[2].removeprefix("loadbalancer/")
