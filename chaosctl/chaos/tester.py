"""Whether the tester itself was well: its own delay, its own machine, its own network. Pure.

What it got wrong is not the service's fault. Once something was injected only what came after that matters, since only
that is judged; before, it is the gate's business.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from chaosctl.chaos import outage
from chaosctl.chaos.record import Record
from chaosctl.chaos.requests import CONTROL, REMOTE, STREAMS, TIMED_OUT, UNSENT, Request

MAX_LAG = 25.0  # milliseconds: the prober's own delay, 99th percentile, beyond which its figures mean nothing
WINDOW = 5  # seconds: of a long run, a bad spell is less than one per cent
MAX_LATE = 10.0  # per cent of the requests of such a window that may leave over MAX_LAG late
LEAST_STALL = 0.25  # seconds: no downtime budget is so small that a shorter stall makes a run worthless
ITS_SHARE = 0.25  # of a request's timeout: held up for longer, it is not the service that let it time out

Streams = Mapping[str, Sequence[Request]]
Interval = tuple[float, float]  # seconds of CLOCK_MONOTONIC


@dataclass(frozen=True)
class Tester:
    """How well the prober itself did. `lag_p99` and `lag_max` in milliseconds, `cpu_percent` of one core.

    control  requests to the prober's own server; remote: to the place beside the service
    """

    lag_p99: float
    lag_max: float
    cpu_percent: float | None
    control_requests: int
    control_failures: int
    remote_requests: int = 0
    remote_failures: int = 0


def figures(record: Record) -> Tester | None:
    """Its figures; None when it sent nothing."""
    found = _judged(record)
    lags = sorted(r.lag / 1000 for requests in found.values() for r in requests)
    if not lags:
        return None
    ended = record.traffic_ended
    return Tester(
        lag_p99=outage.percentile(lags, 99),
        lag_max=lags[-1],
        cpu_percent=100 * ended.cpu_seconds / ended.seconds if ended and ended.seconds > 0 else None,
        control_requests=len(found[CONTROL]),
        control_failures=sum(not r.ok for r in found[CONTROL]),
        remote_requests=len(found[REMOTE]),
        remote_failures=sum(not r.ok for r in found[REMOTE]),
    )


def trouble(record: Record) -> list[str]:
    """Why what it measured cannot be believed; empty when it can."""
    found = _judged(record)
    return [*_late(record, found), *_held_up(record, found), *_unanswered(found), *_cut_off(record, found)]


def unwatched(record: Record) -> str:
    """That nothing could have told a lost network of this machine from a lost service; empty when something could."""
    remote = record.requests[REMOTE]
    if not remote or any(r.ok for r in remote):
        return ""
    return f"{_place(record)} never answered: had this machine lost its own network, that would be the service's fault"


def _judged(record: Record) -> Streams:
    return record.since_injection() if record.injecting else record.requests


def _late(record: Record, found: Streams) -> Iterator[str]:
    requests = [r for part in found.values() for r in part]
    lags = sorted(r.lag / 1000 for r in requests)
    if lags and (p99 := outage.percentile(lags, 99)) > MAX_LAG:
        yield f"the prober was {p99:.1f} ms late (99th percentile), {MAX_LAG:g} ms is the limit"
    elif (share := late_share(requests)) > MAX_LATE:
        yield f"{share:.0f} % of the requests of {WINDOW} s left over {MAX_LAG:g} ms late, {MAX_LATE:g} % is the limit"


def late_share(requests: Iterable[Request]) -> float:
    """Of any WINDOW seconds, the largest share of requests that left over MAX_LAG late, in per cent."""
    sent: Counter[int] = Counter()
    late: Counter[int] = Counter()
    for request in requests:
        second = request.intended // 1_000_000
        sent[second] += 1
        late[second] += request.lag / 1000 > MAX_LAG
    if not sent:
        return 0.0
    first, last = min(sent), max(sent)
    return max(_share(late, sent, begin) for begin in range(first, max(first, last - WINDOW + 1) + 1))


def _share(late: Counter[int], sent: Counter[int], begin: int) -> float:
    window = range(begin, begin + WINDOW)
    return 100 * sum(late[s] for s in window) / max(1, sum(sent[s] for s in window))


def _held_up(record: Record, found: Streams) -> Iterator[str]:
    """A stall hides an outage that falls into it, and lets requests time out that the service would have answered."""
    budget, timeout = record.experiment.budgets.downtime_seconds, record.experiment.traffic.timeout
    worst = max((r.lag / 1e6 for s in STREAMS for r in found[s]), default=0.0)
    if worst > max(budget, LEAST_STALL):
        yield f"the prober stood still for {worst:.2f} s: an outage beyond the budget of {budget:g} s could hide in it"
    stalls = _united((r.intended / 1e6, (r.intended + r.lag) / 1e6) for p in found.values() for r in p if _stalled(r))
    late = [r for s in STREAMS for r in found[s] if r.outcome == TIMED_OUT]
    own = sum(_within(stalls, r.intended / 1e6, r.intended / 1e6 + timeout) > ITS_SHARE * timeout for r in late)
    if own:
        yield f"{own} requests timed out while the prober itself was held up"


def _stalled(request: Request) -> bool:
    return request.lag / 1000 > MAX_LAG


def _united(intervals: Iterable[Interval]) -> list[Interval]:
    made: list[Interval] = []
    for begin, end in sorted(intervals):
        if made and begin <= made[-1][1]:
            made[-1] = (made[-1][0], max(end, made[-1][1]))
        else:
            made.append((begin, end))
    return made


def _within(intervals: Iterable[Interval], begin: float, end: float) -> float:
    """For how long the intervals cover that time."""
    return sum(max(0.0, min(end, last) - max(begin, first)) for first, last in intervals)


def _unanswered(found: Streams) -> Iterator[str]:
    if failed := sum(not r.ok for r in found[CONTROL]):
        yield f"{failed} control requests on this machine itself failed"
    if unsent := sum(r.outcome == UNSENT for s in STREAMS for r in found[s]):
        yield f"{unsent} requests could not be sent by this machine"


def _cut_off(record: Record, found: Streams) -> Iterator[str]:
    """Failures of the service while a place that has nothing to do with it did not answer either."""
    if record.injecting and not any(r.ok for r in record.requests[REMOTE]):
        return  # it never answered, so it tells nothing (it may be reached by a proxy only)
    dark = list(_dark(record.requests[REMOTE]))
    failed = sum(not r.ok and _overlaps(r, dark) for s in STREAMS for r in found[s])
    if failed:
        yield (
            f"{failed} requests failed while {_place(record)}, beside the service, did not answer either: "
            "this machine lost its own network"
        )


def _dark(remote: Sequence[Request]) -> Iterator[Interval]:
    """From the last good answer before a failure, after which all may have been lost, to the next."""
    good, dark = None, False
    for request in sorted(remote, key=lambda r: r.number):
        at = request.intended / 1e6
        if not request.ok:
            good = at if good is None else good
            dark = True
            continue
        if dark and good is not None:
            yield good, at
        good, dark = at, False
    if dark and good is not None:
        yield good, math.inf


def _overlaps(request: Request, intervals: Iterable[Interval]) -> bool:
    begin, end = request.intended / 1e6, (request.intended + request.latency) / 1e6
    return any(begin < last and end > first for first, last in intervals)


def _place(record: Record) -> str:
    return urlsplit(record.experiment.traffic.control).netloc or "the control"
