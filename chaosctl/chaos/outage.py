"""From single requests to outages. Pure.

An outage begins at the intended start of the first bad request of a stream, and ends at that of the next good one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaosctl.chaos.requests import OK, TIMED_OUT, UNSENT, Request, Totals


@dataclass(frozen=True)
class Outage:
    """Times in seconds of CLOCK_MONOTONIC. `end` is that of the last request plus one period if none was good again.

    kinds  how many requests failed in which way
    """

    stream: str
    begin: float
    end: float
    requests: int
    kinds: tuple[tuple[str, int], ...]
    open: bool = False  # it still lasted when the traffic ended

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.begin


@dataclass(frozen=True)
class Latency:
    """Milliseconds from the intended send time, of good requests only; a failed one has no latency worth a name."""

    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class StreamFigures:
    """What one stream of requests came to.

    success_percent   ok of scheduled; unsent and timed out are failures
    downtime          seconds of all outages together
    longest           seconds of the longest outage
    visible           seconds: an outage shorter than this can fall between two requests, which are a period apart and
                      the prober's own worst delay
    bound_percent     with no failure among n requests, the failure rate is below this with 95 % confidence (3/n)
    """

    stream: str
    totals: Totals
    success_percent: float
    downtime: float
    longest: float
    outages: tuple[Outage, ...]
    visible: float
    bound_percent: float | None
    latency: Latency | None


@dataclass(frozen=True)
class Span:
    """One stream before, during or after a fault that lasts. `requests` are all that were to be sent then."""

    stream: str
    when: str
    requests: int
    ok: int
    latency: Latency | None


def spans(stream: str, requests: Iterable[Request], begin: float, end: float) -> tuple[Span, ...]:
    """A stream's figures before, during and after a fault that lasted from `begin` to `end`, by intended send time."""
    parts: dict[str, list[Request]] = {"before": [], "during": [], "after": []}
    for request in requests:
        at = request.intended / 1e6
        parts["before" if at < begin else "during" if at < end else "after"].append(request)
    return tuple(Span(stream, when, len(part), sum(r.ok for r in part), _latency(part)) for when, part in parts.items())


def outages(requests: Iterable[Request], period: float) -> tuple[Outage, ...]:
    """The outages of one stream. `requests` in any order; `period` in seconds between two intended sends."""
    found: list[Outage] = []
    bad: list[Request] = []
    for request in sorted(requests, key=lambda r: r.number):
        if not request.ok:
            bad.append(request)
        elif bad:
            found.append(_outage(bad, request.intended / 1e6, still=False))
            bad = []
    if bad:
        found.append(_outage(bad, bad[-1].intended / 1e6 + period, still=True))
    return tuple(found)


def _outage(bad: Sequence[Request], end: float, *, still: bool) -> Outage:
    kinds = Counter(request.outcome for request in bad)
    begin = bad[0].intended / 1e6
    return Outage(bad[0].stream, begin, end, len(bad), tuple(sorted(kinds.items())), still)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the sorted `values` that at least `percent` % of them do not exceed (nearest rank)."""
    rank = -(-len(values) * percent // 100)
    return values[max(0, int(rank) - 1)]


def figures(stream: str, requests: Sequence[Request], rate: float) -> StreamFigures:
    """All figures of one stream at `rate` requests a second. Of no requests at all, success is 0 %."""
    found = outages(requests, 1 / rate)
    totals = count(requests)
    return StreamFigures(
        stream=stream,
        totals=totals,
        success_percent=100 * totals.ok / totals.scheduled if totals.scheduled else 0.0,
        downtime=sum(outage.seconds for outage in found),
        longest=max((outage.seconds for outage in found), default=0.0),
        outages=found,
        visible=1 / rate + max((request.lag for request in requests), default=0) / 1e6,
        bound_percent=min(100.0, 300 / totals.scheduled)
        if totals.scheduled and totals.ok == totals.scheduled
        else None,
        latency=_latency(requests),
    )


def slowest(streams: Iterable[StreamFigures]) -> float | None:
    """The 99th percentile of the slower stream, in milliseconds; None without a good answer."""
    return max((s.latency.p99 for s in streams if s.latency), default=None)


def count(requests: Iterable[Request]) -> Totals:
    """The account of these requests, made from their records."""
    kinds = Counter(request.outcome for request in requests)
    bad = sum(n for kind, n in kinds.items() if kind not in (OK, TIMED_OUT, UNSENT))
    return Totals(kinds.total(), kinds[OK], bad, kinds[TIMED_OUT], kinds[UNSENT])


def _latency(requests: Iterable[Request]) -> Latency | None:
    times = sorted(request.latency / 1000 for request in requests if request.ok)
    if not times:
        return None
    return Latency(percentile(times, 50), percentile(times, 95), percentile(times, 99), times[-1])


def complete(requests: Sequence[Request]) -> bool:
    """Whether every number of the schedule occurs, once."""
    numbers = sorted(request.number for request in requests)
    return numbers == list(range(len(numbers)))


def clean_from(requests: Iterable[Request]) -> float | None:
    """When the traffic of one stream became clean for good: at the intended start of the first good after the last bad.

    In seconds of CLOCK_MONOTONIC; infinity when the last one was bad, None when none was.
    """
    clean: float | None = None
    for request in sorted(requests, key=lambda r: r.number):
        if not request.ok:
            clean = math.inf
        elif clean == math.inf:
            clean = request.intended / 1e6
    return clean
