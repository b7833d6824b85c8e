"""Metric data queries: statistics of metrics and expressions over them, as GetMetricData and alarms ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaosctl.lab.aws.cloudwatch import expressions
from chaosctl.lab.aws.cloudwatch.metrics import MINUTE, Metric, Metrics


@dataclass(frozen=True)
class Query:
    """A statistic of a metric, or an expression over other queries; `period` in seconds, 0 where others decide it."""

    id: str
    metric: Metric | None = None
    statistic: str = ""
    period: int = 0
    expression: str = ""
    label: str = ""
    returned: bool = True

    @property
    def title(self) -> str:
        """Its label, or what AWS makes up."""
        return self.label or (self.metric.name if self.metric else self.id)


def answer(queries: Sequence[Query], metrics: Metrics, start: float, end: float) -> dict[str, dict[int, float]]:
    """Values of every query by the beginning of their period, by the query's id.

    Raises expressions.Unsupported.
    """
    found = {
        query.id: metrics.statistic(query.metric, query.statistic, start, end, query.period)
        for query in queries
        if query.metric is not None
    }
    periods = _periods(start, end, max((query.period for query in queries), default=0) or MINUTE)
    for query in queries:
        if query.metric is None:
            found[query.id] = expressions.evaluate(query.expression, found, periods)
    return found


def _periods(start: float, end: float, period: int) -> list[int]:
    return list(range(int(start) // MINUTE * MINUTE, int(end), period))
