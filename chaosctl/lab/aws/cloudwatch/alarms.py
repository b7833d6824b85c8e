"""The loop that evaluates alarms every minute, and tells those who are to know."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

from chaosctl.lab.aws.cloudwatch import evaluation, queries
from chaosctl.lab.aws.cloudwatch.evaluation import Rule, State
from chaosctl.lab.aws.cloudwatch.expressions import Unsupported
from chaosctl.lab.aws.cloudwatch.metrics import MINUTE, Metric, Metrics
from chaosctl.lab.aws.cloudwatch.queries import Query
from chaosctl.lab.aws.world import LOCK, Changes

log = logging.getLogger(__name__)

SETTLE = 2.0  # seconds after the end of a minute until all of its values have been published
LOW_SAMPLES = 10  # a percentile p needs this many, divided by 1 - p, to mean something
HISTORY = 100  # state changes that are kept of an alarm

Notify = Callable[[Any, Any, str], None]  # backend, alarm, ARN of the action


def metrics_of(backend: Any) -> Metrics:
    """The metrics of a region, kept beside its alarms."""
    if not hasattr(backend, "lab_metrics"):
        backend.lab_metrics = Metrics()
    found: Metrics = backend.lab_metrics
    return found


class Alarms:
    """A `Reconciler`: at the end of each minute every alarm is evaluated; changes of state carry out its actions."""

    name = "alarms"

    def __init__(self, changes: Changes, notify: Notify, clock: Callable[[], float] = time.time) -> None:
        self._changes, self._notify, self._clock = changes, notify, clock
        self._evaluated = 0

    def reconcile(self) -> None:
        """Evaluate once a minute, what is new at once; then tell of every state that nobody was told of yet."""
        minute = int((self._clock() - SETTLE) // MINUTE)
        with LOCK:
            changed = [self._look(alarm, backend, minute) for backend, alarm in _alarms()]
            told = [self._tell(alarm, backend) for backend, alarm in _alarms()]
            if minute != self._evaluated:
                for _, _, backend in list(cloudwatch_backends.iter_backends()):
                    metrics_of(backend).forget(self._clock())
        self._evaluated = minute
        if any(changed) or any(told):
            self._changes.announce()

    def _look(self, alarm: Any, backend: Any, minute: int) -> bool:
        if minute == self._evaluated and getattr(alarm, "evaluated", False):
            return False
        alarm.evaluated = True
        try:
            state, reason, data = judge(alarm, metrics_of(backend), minute * MINUTE)
        except Unsupported as error:
            state, reason, data = "INSUFFICIENT_DATA", f"The expression cannot be evaluated: {error}", {}
        if state == alarm.state_value:
            return False
        transition(alarm, state, reason, data)
        return True

    def _tell(self, alarm: Any, backend: Any) -> bool:
        if getattr(alarm, "told", "INSUFFICIENT_DATA") == alarm.state_value:
            return False
        alarm.told = alarm.state_value
        actions = {
            "ALARM": alarm.alarm_actions,
            "OK": alarm.ok_actions,
            "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
        }
        for action in actions[alarm.state_value] if alarm.actions_enabled else ():
            self._notify(backend, alarm, action)
        return True


def transition(alarm: Any, state: str, reason: str, data: Any) -> None:
    """Put an alarm into a state, and remember that."""
    before, now = alarm.state_value, datetime.now(UTC).replace(tzinfo=None)
    alarm.state_reason, alarm.state_reason_data, alarm.state_value = reason, json.dumps(data), state
    alarm.state_updated_timestamp = alarm.state_transitioned_timestamp = now
    log.info("alarm %s: %s -> %s: %s", alarm.name, before, state, reason)
    change = {
        "version": "1.0",
        "oldState": {"stateValue": before},
        "newState": {"stateValue": state, "stateReason": reason, "stateReasonData": data},
    }
    item = {
        "AlarmName": alarm.name,
        "AlarmType": "MetricAlarm",
        "Timestamp": now,
        "HistoryItemType": "StateUpdate",
        "HistorySummary": f"Alarm updated from {before} to {state}",
        "HistoryData": json.dumps(change),
    }
    alarm.history = [*alarm.history, item][-HISTORY:]


def judge(alarm: Any, metrics: Metrics, end: int) -> tuple[State, str, dict[str, Any]]:
    """State, reason and data of an alarm from what is known up to `end`, the end of a minute."""
    rule = _rule(alarm)
    asked = _queries(alarm)
    period = max(query.period for query in asked)
    start = end - rule.range * period
    values = queries.answer(asked, metrics, start, end)[next(q.id for q in asked if q.returned)]
    values = _without_low_samples(alarm, asked, metrics, (start, end, period), values)
    datapoints = [values.get(start + number * period) for number in range(rule.range)]
    state = evaluation.evaluate(rule, datapoints, alarm.state_value)
    recent = [value for value in datapoints[-rule.periods :] if value is not None]
    data = {"version": "1.0", "period": period, "recentDatapoints": recent, "threshold": rule.threshold}
    return state, _reason(rule, state, datapoints), data


def _rule(alarm: Any) -> Rule:
    periods = int(alarm.evaluation_periods)
    return Rule(
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        periods=periods,
        breaching=int(alarm.datapoints_to_alarm or periods),
        missing=alarm.treat_missing_data or "missing",
    )


def _queries(alarm: Any) -> list[Query]:
    if not alarm.metric_data_queries:
        metric = Metric.of(alarm.namespace, alarm.metric_name, {d.name: d.value for d in alarm.dimensions})
        return [Query("metric", metric, alarm.statistic or alarm.extended_statistic, int(alarm.period))]
    return [_query(query) for query in alarm.metric_data_queries]


def _query(query: Any) -> Query:
    returned = str(query.return_data).lower() != "false"
    if query.metric_stat is None:
        return Query(query.id, expression=query.expression, period=int(query.period or 0), returned=returned)
    stat = query.metric_stat
    dimensions = {d.name: d.value for d in stat.metric.dimensions}
    metric = Metric.of(stat.metric.namespace, stat.metric.metric_name, dimensions)
    return Query(query.id, metric, stat.stat, int(stat.period), returned=returned)


def _without_low_samples(
    alarm: Any, asked: Sequence[Query], metrics: Metrics, window: tuple[int, int, int], values: dict[int, float]
) -> dict[int, float]:
    """An alarm on a percentile may be told to ignore periods with too few values for it."""
    statistic, metric = asked[0].statistic, asked[0].metric
    ignores = alarm.evaluate_low_sample_count_percentile == "ignore"
    if not ignores or metric is None or not statistic.startswith("p") or len(asked) > 1:
        return values
    part = float(statistic[1:]) / 100
    least = LOW_SAMPLES / (1 - part if part >= 0.5 else part) if 0 < part < 1 else 0
    points = metrics.points(metric, *window)
    return {at: value for at, value in values.items() if points[at].count >= least}


def _reason(rule: Rule, state: State, datapoints: Sequence[float | None]) -> str:
    real = [value for value in datapoints if value is not None][-rule.periods :]
    if not real:
        if state == "INSUFFICIENT_DATA":
            return "Insufficient Data: no datapoints were received."
        return f"no datapoints were received for {rule.periods} periods, which are treated as [{rule.missing}]."
    shown = ", ".join(f"{value:g}" for value in reversed(real))
    crossed = sum(map(rule.breaks, real))
    words = rule.comparison.removesuffix("Threshold")
    return (
        f"Threshold Crossed: {crossed} of the last {rule.periods} datapoints [{shown}] were {words} {rule.threshold:g} "
        f"({rule.breaching} are enough for ALARM), missing ones are [{rule.missing}]."
    )


def _alarms() -> Iterator[tuple[Any, Any]]:
    """Every metric alarm of every region; what depends on other alarms is not evaluated by the lab."""
    for _, _, backend in list(cloudwatch_backends.iter_backends()):
        for alarm in list(backend.alarms.values()):
            if alarm.rule is None:
                yield backend, alarm
