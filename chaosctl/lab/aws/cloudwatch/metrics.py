"""Metrics as CloudWatch keeps them: datapoints of a minute, from which every longer period and statistic is made."""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

MINUTE = 60
KEPT = 180  # minutes; AWS keeps datapoints of a minute for 15 days
PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")

Dimensions = tuple[tuple[str, str], ...]


@dataclass(frozen=True, order=True)
class Metric:
    """What identifies a metric. Its dimensions are sorted: their order means nothing."""

    namespace: str
    name: str
    dimensions: Dimensions

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric:
        """The metric with these dimensions."""
        return cls(namespace, name, tuple(sorted(dimensions.items())))


@dataclass
class Datapoint:
    """Values of one period. `values` counts each different one, for percentiles; empty for mere statistics."""

    count: float = 0.0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    values: dict[float, float] = field(default_factory=dict)

    def add(self, value: float, times: float = 1.0) -> None:
        """One more value, `times` over."""
        self.add_statistics(times, value * times, value, value)
        self.values[value] = self.values.get(value, 0.0) + times

    def add_statistics(self, count: float, total: float, low: float, high: float) -> None:
        """What somebody has summed up already."""
        self.count, self.total = self.count + count, self.total + total
        self.low, self.high = min(self.low, low), max(self.high, high)

    def merge(self, other: Datapoint) -> None:
        """Those of another one too."""
        self.add_statistics(other.count, other.total, other.low, other.high)
        for value, times in other.values.items():
            self.values[value] = self.values.get(value, 0.0) + times

    def statistic(self, name: str) -> float | None:
        """Sum, Average, Minimum, Maximum, SampleCount or a percentile like p99; None when there is no such one."""
        simple = {
            "Sum": self.total,
            "SampleCount": self.count,
            "Minimum": self.low,
            "Maximum": self.high,
            "Average": self.total / self.count if self.count else 0.0,
        }
        if name in simple:
            return simple[name] if self.count else None
        percentile = PERCENTILE.fullmatch(name)
        return self._percentile(float(percentile[1])) if percentile and self.values else None

    def _percentile(self, wanted: float) -> float:
        """The smallest value that at least `wanted` per cent of all values do not exceed."""
        rank, seen = wanted / 100 * sum(self.values.values()), 0.0
        ordered = sorted(self.values.items())
        for value, times in ordered:
            seen += times
            if seen >= rank:
                return value
        return ordered[-1][0]


class Metrics:
    """All metrics of a region. Not safe by itself from several threads: hold the world's lock."""

    def __init__(self) -> None:
        self._series: dict[Metric, deque[tuple[int, Datapoint]]] = {}
        self._units: dict[Metric, str] = {}

    def minute(self, metric: Metric, at: float, unit: str = "") -> Datapoint:
        """The datapoint of the minute of `at` (seconds since the epoch), to add to."""
        start = int(at) // MINUTE * MINUTE
        series = self._series.setdefault(metric, deque(maxlen=KEPT))
        if unit:
            self._units[metric] = unit
        for known, datapoint in reversed(series):
            if known == start:
                return datapoint
            if known < start:
                break
        fresh = Datapoint()
        series.append((start, fresh))
        if len(series) > 1 and series[-2][0] > start:  # it comes late
            self._series[metric] = deque(sorted(series, key=lambda item: item[0]), maxlen=KEPT)
        return fresh

    def put(self, metric: Metric, at: float, value: float, unit: str = "", times: float = 1.0) -> None:
        """One value, `times` over."""
        self.minute(metric, at, unit).add(value, times)

    def points(self, metric: Metric, start: float, end: float, period: int) -> dict[int, Datapoint]:
        """The datapoints from `start` (rounded down to its minute) up to, not including, `end`, by period.

        Periods are counted from `start`, as GetMetricData does; each is named by its beginning.
        """
        found: dict[int, Datapoint] = {}
        origin = int(start) // MINUTE * MINUTE
        for minute, datapoint in self._series.get(metric, ()):
            if origin <= minute < end:
                begin = origin + (minute - origin) // period * period
                found.setdefault(begin, Datapoint()).merge(datapoint)
        return found

    def statistic(self, metric: Metric, name: str, start: float, end: float, period: int) -> dict[int, float]:
        """One statistic of those, where there is one."""
        points = self.points(metric, start, end, period)
        values = {begin: point.statistic(name) for begin, point in points.items()}
        return {begin: value for begin, value in values.items() if value is not None}

    def unit(self, metric: Metric) -> str:
        """Its unit as it was last published."""
        return self._units.get(metric, "None")

    def known(
        self, namespace: str | None = None, name: str | None = None, dimensions: Iterable[tuple[str, str | None]] = ()
    ) -> Iterator[Metric]:
        """Metrics with this namespace, name and dimensions (of any value where that is None), in order."""
        wanted = list(dimensions)
        for metric in sorted(self._series):
            has = dict(metric.dimensions)
            fits = all(key in has and value in (None, has[key]) for key, value in wanted)
            if fits and namespace in (None, metric.namespace) and name in (None, metric.name):
                yield metric

    def forget(self, now: float | None = None) -> None:
        """Drop metrics of what is gone for long."""
        limit = (time.time() if now is None else now) - KEPT * MINUTE
        for metric in [metric for metric, series in self._series.items() if series[-1][0] < limit]:
            del self._series[metric]
            self._units.pop(metric, None)
