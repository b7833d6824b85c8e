"""CloudWatch: composite alarms, percentiles, metric math, the history of alarms, and states that alarms keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.exceptions import ResourceNotFound, ValidationError
from moto.cloudwatch.models import CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult

from chaosctl.lab.aws.cloudwatch import queries
from chaosctl.lab.aws.cloudwatch.alarms import metrics_of, transition
from chaosctl.lab.aws.cloudwatch.expressions import Unsupported
from chaosctl.lab.aws.cloudwatch.metrics import PERCENTILE, Metric
from chaosctl.lab.aws.cloudwatch.queries import Query

STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")


def apply() -> None:
    """Replace how moto keeps metrics; it knows neither percentiles nor math, and begins every alarm as OK."""
    _keep_states()
    for operation in (put_metric_data, get_metric_data, list_metrics, set_alarm_state):
        setattr(CloudWatchBackend, operation.__name__, operation)
    CloudWatchResponse.get_metric_statistics = _get_metric_statistics
    CloudWatchResponse.describe_alarm_history = _describe_alarm_history
    # PutCompositeAlarm answers 500, although moto's alarms can hold a rule.
    CloudWatchResponse.put_composite_alarm = lambda self: self.put_metric_alarm()


def _keep_states() -> None:
    """A new alarm has insufficient data; one that is put again keeps its state and its history."""
    put = CloudWatchBackend.put_metric_alarm

    def put_metric_alarm(self: Any, name: str, *arguments: Any, **options: Any) -> Any:
        before = self.alarms.get(name)
        alarm = put(self, name, *arguments, **options)
        if before is None:
            alarm.state_value = "INSUFFICIENT_DATA"
        else:
            since = ("state_updated_timestamp", "state_transitioned_timestamp")
            kept = ("state_value", "state_reason", "state_reason_data", *since, "history", "told")
            vars(alarm).update({key: vars(before)[key] for key in kept if key in vars(before)})
        return alarm

    CloudWatchBackend.put_metric_alarm = put_metric_alarm


def put_metric_data(self: Any, namespace: str, metric_data: Sequence[Mapping[str, Any]]) -> None:
    """Values, values with counts, or statistics."""
    for number, given in enumerate(metric_data, 1):
        self._validate_parameters_put_metric_data(given, number)
    for given in metric_data:
        dimensions = {d["Name"]: d["Value"] for d in given.get("Dimensions") or ()}
        metric = Metric.of(namespace, given["MetricName"], dimensions)
        at = _seconds(given["Timestamp"]) if given.get("Timestamp") else datetime.now(UTC).timestamp()
        point = metrics_of(self).minute(metric, at, given.get("Unit") or "None")
        if statistics := given.get("StatisticValues"):
            keys = ("SampleCount", "Sum", "Minimum", "Maximum")
            point.add_statistics(*(float(statistics[key]) for key in keys))
            continue
        values = given.get("Values") or [given.get("Value", 0)]
        for value, times in zip(values, given.get("Counts") or [1] * len(values), strict=True):
            point.add(float(value), float(times))


def get_metric_data(
    self: Any,
    queries: Sequence[Mapping[str, Any]],
    start_time: datetime,
    end_time: datetime,
    scan_by: str = "TimestampDescending",
) -> list[dict[str, Any]]:
    """Statistics, percentiles and metric math; SEARCH is for the console only."""
    if start_time >= end_time:
        raise ValidationError("The parameter EndTime must be greater than StartTime.")
    asked = [_query(given) for given in queries]
    found = _answered(asked, metrics_of(self), start_time, end_time)
    down = scan_by != "TimestampAscending"
    return [_result(query, found[query.id], down=down) for query in asked if query.returned]


def _answered(asked: Sequence[Query], metrics: Any, start: datetime, end: datetime) -> dict[str, dict[int, float]]:
    try:
        return queries.answer(asked, metrics, _seconds(start), _seconds(end))
    except Unsupported as error:
        raise ValidationError(f"Error in expression: {error}") from error


def _query(given: Mapping[str, Any]) -> Query:
    common: dict[str, Any] = {
        "label": given.get("Label") or "",
        "returned": str(given.get("ReturnData", True)).lower() != "false",
    }
    if stat := given.get("MetricStat"):
        dimensions = {d["Name"]: d["Value"] for d in stat["Metric"].get("Dimensions") or ()}
        metric = Metric.of(stat["Metric"]["Namespace"], stat["Metric"]["MetricName"], dimensions)
        return Query(given["Id"], metric, stat["Stat"], int(stat["Period"]), **common)
    return Query(given["Id"], expression=given["Expression"], period=int(given.get("Period") or 0), **common)


def _result(query: Query, values: Mapping[int, float], *, down: bool) -> dict[str, Any]:
    ordered = sorted(values.items(), reverse=down)
    return {
        "id": query.id,
        "label": query.title,
        "timestamps": [_time(at) for at, _ in ordered],
        "values": [value for _, value in ordered],
        "status_code": "Complete",
    }


def _get_metric_statistics(self: CloudWatchResponse) -> ActionResult:
    dimensions = {d["Name"]: d["Value"] for d in self._get_param("Dimensions", [])}
    metric = Metric.of(self._get_param("Namespace"), self._get_param("MetricName"), dimensions)
    metrics = metrics_of(self.cloudwatch_backend)
    start, end = _seconds(self._get_param("StartTime")), _seconds(self._get_param("EndTime"))
    plain, percentiles = self._get_param("Statistics", []), self._get_param("ExtendedStatistics", [])
    if not plain and not all(map(PERCENTILE.fullmatch, percentiles)):
        raise ValidationError("Must specify either Statistics or ExtendedStatistics")
    points = metrics.points(metric, start, end, int(self._get_param("Period")))
    datapoints = [
        {
            "Timestamp": _time(at),
            "Unit": metrics.unit(metric),
            **{name: point.statistic(name) for name in plain},
            **({"ExtendedStatistics": {name: point.statistic(name) for name in percentiles}} if percentiles else {}),
        }
        for at, point in sorted(points.items())
    ]
    return ActionResult({"Label": metric.name, "Datapoints": datapoints})


def list_metrics(
    self: Any, next_token: str | None, namespace: str, metric_name: str, dimensions: Sequence[Mapping[str, str]]
) -> tuple[None, list[dict[str, Any]]]:
    """All of them on one page."""
    wanted = [(d["Name"], d.get("Value")) for d in dimensions or ()]
    found = [
        {
            "Namespace": metric.namespace,
            "MetricName": metric.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
        }
        for metric in metrics_of(self).known(namespace or None, metric_name or None, wanted)
    ]
    return None, found


def set_alarm_state(self: Any, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
    """Until the next evaluation; its actions are carried out."""
    if alarm_name not in self.alarms:
        raise ResourceNotFound
    if state_value not in STATES:
        raise ValidationError(f"1 validation error detected: Value '{state_value}' at 'stateValue' is none of {STATES}")
    transition(self.alarms[alarm_name], state_value, reason, reason_data or {})


def _describe_alarm_history(self: CloudWatchResponse) -> ActionResult:
    name = self._get_param("AlarmName")
    alarms = [a for a in self.cloudwatch_backend.alarms.values() if name in (None, a.name)]
    items = sorted((item for alarm in alarms for item in alarm.history), key=lambda i: i["Timestamp"], reverse=True)
    return ActionResult({"AlarmHistoryItems": items})


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
