"""All that is known of a run so far: a fold over its events. The runner asks it while it runs; `result` at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any

from chaosctl.chaos import events as e
from chaosctl.chaos import outage
from chaosctl.chaos.drill import Drill
from chaosctl.chaos.experiment import Experiment
from chaosctl.chaos.recovery import Recovery
from chaosctl.chaos.requests import CONTROL, NEW, REMOTE, REUSED, STREAMS, Request
from chaosctl.chaos.tally import Tally

CATCHING_UP = 1.0  # seconds after a gap in which what had happened in it is still told
SLOW_SHARE = 0.01  # of the good answers that may take longer than the budget, which is for the 99th percentile
UNSURE = 0.4  # seconds beyond the downtime budget for which what is in flight may still be answered


class Gaps:
    """When something could not be observed: what happened then was seen at the end of it, or not at all."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []  # the last one has no end while it lasts

    def begin(self, at: float) -> None:
        """It cannot be observed any more; nothing new while it could not be before."""
        if not self.spans or self.spans[-1][1] != math.inf:
            self.spans.append((at, math.inf))

    def end(self, at: float) -> None:
        """It can be again."""
        if self.spans and self.spans[-1][1] == math.inf:
            self.spans[-1] = (self.spans[-1][0], at)

    def before(self, at: float) -> float | None:
        """When the gap began in which, or right after which, this was seen; None when it was seen in time."""
        return next((begin for begin, end in self.spans if begin <= at <= end + CATCHING_UP), None)


class Record:
    """Feed it every event of one run, in order."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.recovery = Recovery(experiment.plan)
        self.drill = Drill(experiment.alarms)
        self.requests: dict[str, list[Request]] = {NEW: [], REUSED: [], CONTROL: [], REMOTE: []}
        self.phases: dict[str, float] = {}
        self.clock_step = 0.0  # seconds by which the wall clock left the monotonic one, at the worst
        self._clock_offset: float | None = None
        self.traffic_began: float | None = None
        self.traffic_ended: e.TrafficEnded | None = None
        self.traffic_lost = ""
        self.not_steady = ""
        self.steady = False
        self.last_failure = ""
        self.refused: e.Drifted | None = None
        self.interrupted = ""
        self.breached = ""
        self.not_injected: list[str] = []
        self.attempted: list[str] = []  # changes that were asked for and not declined: they may have happened
        self.watch_gaps, self.target_gaps = Gaps(), Gaps()
        self.targets_seen = False
        self.targets_unknown = ""
        self.verified: e.Verified | None = None
        self.not_verified = ""
        self.not_lifted = ""
        self._last_bad = dict.fromkeys(STREAMS, -math.inf)
        period, long = 1 / experiment.traffic.rate, experiment.budgets.latency_seconds
        self._tally = {stream: Tally(period, long) for stream in STREAMS}

    def add(self, event: e.ChaosEvent) -> None:
        """Take one event. Events that change nothing here (a phase of the undo, the end) are fine."""
        handle = _HANDLERS.get(type(event))
        if handle is not None:
            handle(self, event)

    def phase(self, event: e.PhaseStarted) -> None:
        """A phase begins."""
        self.phases[event.phase] = event.at
        if event.phase == "inject":
            self.recovery.begin()
            self.drill.begin()
            for tally in self._tally.values():
                tally.inject(event.at)

    def breach_told(self, event: e.BudgetBreached) -> None:
        """Nothing more is injected, and what was done is put back if it can be."""
        self.breached = event.why
        self.recovery.cut_short = True

    def declined(self, event: e.Declined) -> None:
        """What was attempted last did not happen."""
        if event.what in self.attempted:
            self.attempted.remove(event.what)

    def clock(self, event: e.ClockSeen) -> None:
        """Both clocks were looked at."""
        offset = event.wall - event.at
        if self._clock_offset is None:
            self._clock_offset = offset
        self.clock_step = max(self.clock_step, offset - self._clock_offset, key=abs)

    def seen(self, event: e.RequestsSeen) -> None:
        """Requests ended."""
        for request in event.requests:
            self.requests[request.stream].append(request)
            if request.stream in STREAMS:
                self._ended(request)
        for stream, tally in self._tally.items():
            tally.wait(event.waiting.get(stream))

    def _ended(self, request: Request) -> None:
        stream = request.stream
        if not request.ok:
            self._last_bad[stream] = max(self._last_bad[stream], request.intended / 1e6)
            self.last_failure = f"{request.outcome}{f' {request.status}' if request.status else ''}"
        self._tally[stream].add(request)

    def clean_for(self, since: float) -> float:
        """How many seconds of requests, from `since` on and none missing, are known to be good in both streams."""
        if self.traffic_began is None:
            return 0.0
        period = 1 / self.experiment.traffic.rate
        begin = max(since, self.traffic_began, *(bad + period for bad in self._last_bad.values()))
        known = min(tally.known for tally in self._tally.values()) * period + self.traffic_began
        return max(0.0, known - begin)

    def recent_lag(self, seconds: float) -> float:
        """How late the prober sent, in milliseconds: 99th percentile of the last `seconds` of both streams."""
        lags = sorted(request.lag for stream in STREAMS for request in self._recent(stream, seconds))
        return outage.percentile(lags, 99) / 1000 if lags else 0.0

    def recent_latency(self, seconds: float) -> float:
        """How long good answers took, in seconds: 99th percentile of the last `seconds`, of the slower stream."""
        times = (sorted(r.latency for r in self._recent(stream, seconds) if r.ok) for stream in STREAMS)
        return max((outage.percentile(taken, 99) / 1e6 for taken in times if taken), default=0.0)

    def _recent(self, stream: str, seconds: float) -> Iterator[Request]:
        """Those of the last `seconds`; they end nearly in the order in which they were to be sent."""
        last = max((self.requests[s][-1].intended for s in STREAMS if self.requests[s]), default=0)
        since = last - round(seconds * 1e6)
        return takewhile(lambda request: request.intended >= since, reversed(self.requests[stream]))

    @property
    def injecting(self) -> bool:
        """Whether the injection has begun, or is over."""
        return "inject" in self.phases

    def since_injection(self) -> dict[str, list[Request]]:
        """The requests by stream that the fault can have touched: they ended after the injection began."""
        begin = self.phases.get("inject", math.inf) * 1e6
        return {s: [r for r in found if r.intended + r.latency >= begin] for s, found in self.requests.items()}

    def breach(self) -> str:
        """Which budget is exceeded already, or cannot be kept any more; empty when none is."""
        found = (_spent(stream, tally, self.experiment) for stream, tally in self._tally.items())
        return next(filter(None, found), "")


def _spent(stream: str, tally: Tally, experiment: Experiment) -> str:
    budgets, timing = experiment.budgets, experiment.timing
    down, allowed = tally.downtime(), budgets.downtime_seconds
    if down > allowed:
        return f"{down:.2f} s of downtime on {stream} connections already, the budget is {allowed:g} s"
    if (silent := tally.provisional()) > allowed + UNSURE:
        return f"no good answer on {stream} connections for {silent:.2f} s, {allowed:g} s of downtime are the budget"
    coming = experiment.traffic.rate * (timing.give_up + timing.observe)  # if this were the last that fails
    if tally.bad > (1 - budgets.success_percent / 100) * (tally.sent + coming):
        return (
            f"{tally.bad} requests on {stream} connections failed already: "
            f"{budgets.success_percent:g} % of success are out of reach"
        )
    if tally.slow > SLOW_SHARE * (tally.sent - tally.bad + coming):
        return (
            f"{tally.slow} answers on {stream} connections took over {budgets.latency_seconds:g} s already: "
            "99 % within that are out of reach"
        )
    return ""


def _set(name: str, read: Callable[[Any], Any]) -> Callable[[Record, Any], None]:
    return lambda record, event: setattr(record, name, read(event))


def _targets(record: Record, event: e.TargetsSeen) -> None:
    record.targets_seen, record.targets_unknown = True, ""
    record.target_gaps.end(event.at)
    record.recovery.seen_targets(event.at, event.targets)


def _targets_unknown(record: Record, event: e.TargetsUnknown) -> None:
    record.targets_unknown = event.why
    record.target_gaps.begin(event.at)


_HANDLERS: dict[type[e.ChaosEvent], Callable[[Record, Any], None]] = {
    e.PhaseStarted: Record.phase,
    e.ClockSeen: Record.clock,
    e.PodSeen: lambda record, event: record.recovery.pod(event.at, event.change, event.pod),
    e.WatchBroken: lambda record, event: record.watch_gaps.begin(event.at),
    e.WatchRestored: lambda record, event: record.watch_gaps.end(event.at),
    e.TargetsSeen: _targets,
    e.AlarmSeen: lambda record, event: record.drill.seen(event.at, event.name, event.state),
    e.TargetsUnknown: _targets_unknown,
    e.TrafficStarted: _set("traffic_began", lambda event: event.at),
    e.RequestsSeen: Record.seen,
    e.TrafficEnded: _set("traffic_ended", lambda event: event),
    e.TrafficLost: _set("traffic_lost", lambda event: event.why),
    e.Steady: _set("steady", lambda _: True),
    e.NotSteady: _set("not_steady", lambda event: event.why),
    e.Attempted: lambda record, event: record.attempted.append(event.what),
    e.Declined: Record.declined,
    e.Injected: lambda record, event: record.recovery.kill(event.at, event.uid),
    e.NotInjected: lambda record, event: record.not_injected.append(f"{event.name}: {event.why}"),
    e.Proved: lambda record, event: record.recovery.prove(event.uid, event.evidence, event.at),
    e.Outstanding: lambda record, event: record.recovery.miss(event.missing, event.at),
    e.Lifted: lambda record, event: record.recovery.lift(event.at),
    e.NotLifted: _set("not_lifted", lambda event: event.why),
    e.Drifted: _set("refused", lambda event: event),
    e.BudgetBreached: Record.breach_told,
    e.Interrupted: _set("interrupted", lambda event: event.phase),
    e.Verified: _set("verified", lambda event: event),
    e.NotVerified: _set("not_verified", lambda event: event.why),
}
