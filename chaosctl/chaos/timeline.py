"""What happened when, by pod, by target and by request: a fold over a run's events, for the report and the advisor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from chaosctl.chaos import events as e
from chaosctl.chaos.cluster import PodState, TargetState
from chaosctl.chaos.experiment import Experiment
from chaosctl.chaos.requests import STREAMS, Request
from chaosctl.chaos.settings import AppSettings

# What a pod can be; `waiting` is for its readiness gate, while all its containers are ready.
STARTING, WAITING, READY, UNREADY, CRASHED, ENDING = "starting", "waiting", "ready", "not ready", "crashed", "ending"
ABSENT = "gone"


@dataclass(frozen=True)
class Change:
    """From `at` on (seconds of CLOCK_MONOTONIC) it is in this state; `detail` says why, if anything does."""

    at: float
    state: str
    detail: str = ""


@dataclass(frozen=True)
class Spell:
    """A state from `begin` to `end`."""

    begin: float
    end: float
    state: str
    detail: str = ""


@dataclass
class Life:
    """One pod or one target over the run. `ip` is how targets and pods find each other."""

    id: str
    name: str
    ip: str = ""
    node: str = ""
    gated: bool = False  # it has a readiness gate
    owner: str = ""  # UID of its controller: pods of another version have another one
    changes: list[Change] = field(default_factory=list)

    def add(self, at: float, state: str, detail: str = "") -> None:
        """It is in this state now; nothing happens when it was before."""
        if not self.changes or self.changes[-1].state != state:
            self.changes.append(Change(at, state, detail))

    def state_at(self, at: float) -> str:
        """Its state at this moment; ABSENT before it was first seen."""
        found = ABSENT
        for change in self.changes:
            if change.at > at:
                break
            found = change.state
        return found

    def first(self, *states: str, after: float = float("-inf")) -> float | None:
        """When it first came into one of these states after that moment."""
        return next((c.at for c in self.changes if c.state in states and c.at >= after), None)

    def spells(self, until: float) -> list[Spell]:
        """Its states one after the other; the last one ends at `until`, and absence is left out."""
        ends = [change.at for change in self.changes[1:]] + [max(until, self.changes[-1].at)]
        return [
            Spell(c.at, end, c.state, c.detail)
            for c, end in zip(self.changes, ends, strict=True)
            if c.state != ABSENT and end > c.at
        ]


@dataclass(frozen=True)
class Mark:
    """Something that happened at one moment."""

    at: float
    text: str


class Timeline:
    """Feed it every event of one run, in order."""

    def __init__(self) -> None:
        self.experiment: Experiment | None = None
        self.settings: AppSettings | None = None
        self.wall = 0.0  # seconds since the epoch at `began`
        self.began = 0.0
        self.ended = 0.0
        self.version = ""
        self.repeat = ""  # the command that does it again
        self.phases: list[tuple[str, float]] = []
        self.pods: dict[str, Life] = {}
        self.targets: dict[str, Life] = {}
        self.faults: list[Mark] = []
        self.notes: list[Mark] = []
        self.lifted_at: float | None = None
        self.requests: dict[str, list[Request]] = {stream: [] for stream in STREAMS}
        self.closed = False  # the journal has its last line
        self._restarts: dict[str, int] = {}
        self._was_ready: set[str] = set()

    @classmethod
    def of(cls, events: Iterable[e.ChaosEvent]) -> Timeline:
        """From all events of a run."""
        made = cls()
        for event in events:
            made.add(event)
        return made

    def add(self, event: e.ChaosEvent) -> None:
        """Take one event."""
        self.ended = max(self.ended, event.at)
        handle = _HANDLERS.get(type(event))
        if handle is not None:
            handle(self, event)

    @property
    def fault_at(self) -> float | None:
        """When the first fault was acknowledged."""
        return self.faults[0].at if self.faults else None

    @property
    def clocks_from(self) -> float | None:
        """From when the recovery clocks count: the fault, or the undo of one that was held until then."""
        held = self.experiment is not None and self.experiment.plan.held
        return self.lifted_at if held else self.fault_at

    def lifted(self, event: e.Lifted) -> None:
        """The fault was undone; the first time counts."""
        if self.lifted_at is None:
            self.lifted_at = event.at
        if not event.what.startswith("nothing"):
            self.notes.append(Mark(event.at, f"undone: {event.what}"))

    def started(self, event: e.ExperimentStarted) -> None:
        """The run begins."""
        self.experiment, self.wall, self.began, self.version = event.experiment, event.wall, event.at, event.version
        self.ended = event.at

    def pod(self, event: e.PodSeen) -> None:
        """The watch told of a pod."""
        seen = event.pod
        life = self.pods.setdefault(seen.uid, Life(seen.uid, seen.name))
        life.ip, life.node = seen.ip or life.ip, seen.node or life.node
        life.gated, life.owner = bool(seen.gates), seen.owner_uid
        life.add(event.at, *self._state_of(event.change, seen))

    def _state_of(self, change: str, pod: PodState) -> tuple[str, str]:
        if change == "DELETED":
            return ABSENT, ""
        if pod.deleting:
            return ENDING, ""
        restarted = pod.restarts > self._restarts.setdefault(pod.uid, pod.restarts)
        if pod.ready:
            self._restarts[pod.uid] = pod.restarts
            self._was_ready.add(pod.uid)
            return READY, ""
        if restarted or "terminated" in pod.trouble.lower() or "crash" in pod.trouble.lower():
            return CRASHED, pod.trouble
        if pod.contained and pod.gates:
            return WAITING, pod.trouble
        return (UNREADY, pod.trouble) if pod.uid in self._was_ready else (STARTING, pod.trouble)

    def seen_targets(self, event: e.TargetsSeen) -> None:
        """The load balancer was asked."""
        present = set()
        for target in event.targets:
            present.add(_key(target))
            life = self.targets.setdefault(_key(target), Life(_key(target), _key(target), target.id))
            life.add(event.at, target.state, target.reason)
        for key, life in self.targets.items():
            if key not in present:
                life.add(event.at, ABSENT)

    def target_of(self, pod: Life) -> Life | None:
        """The target at this pod's address."""
        return next((t for t in self.targets.values() if t.ip == pod.ip), None) if pod.ip else None

    def seen_requests(self, event: e.RequestsSeen) -> None:
        """Requests ended."""
        for request in event.requests:
            if request.stream in self.requests:
                self.requests[request.stream].append(request)

    def bad(self) -> list[Request]:
        """All requests that failed, in the order in which they were to be sent."""
        failed = [r for requests in self.requests.values() for r in requests if not r.ok]
        return sorted(failed, key=lambda r: r.intended)


def _key(target: TargetState) -> str:
    return f"{target.id}:{target.port}" if target.port else target.id


def _note(text: Callable[[Any], str]) -> Callable[[Timeline, Any], None]:
    return lambda line, event: line.notes.append(Mark(event.at, text(event)))


def _close(line: Timeline, _: e.Ended) -> None:
    line.closed = True


def _repeat(line: Timeline, event: e.RepeatedBy) -> None:
    line.repeat = event.command


def _settings(line: Timeline, event: e.SettingsSeen) -> None:
    line.settings = event.settings


_HANDLERS: dict[type[e.ChaosEvent], Callable[[Timeline, Any], None]] = {
    e.ExperimentStarted: Timeline.started,
    e.SettingsSeen: _settings,
    e.RepeatedBy: _repeat,
    e.PhaseStarted: lambda line, event: line.phases.append((event.phase, event.at)),
    e.PodSeen: Timeline.pod,
    e.TargetsSeen: Timeline.seen_targets,
    e.RequestsSeen: Timeline.seen_requests,
    e.Injected: lambda line, event: line.faults.append(Mark(event.at, event.name)),
    e.NotInjected: _note(lambda event: f"not done to {event.name}: {event.why}"),
    e.Proved: _note(lambda event: f"{event.name}: {event.evidence}"),
    e.Lifted: Timeline.lifted,
    e.NotLifted: _note(lambda event: f"not undone: {event.why}"),
    e.Drifted: _note(lambda event: f"refused: {event.why}"),
    e.BudgetBreached: _note(lambda event: f"injection stopped: {event.why}"),
    e.Interrupted: _note(lambda event: f"interrupted in the phase {event.phase}"),
    e.TrafficLost: _note(lambda event: f"the prober was lost: {event.why}"),
    e.WatchBroken: _note(lambda event: f"the watch broke: {event.why}"),
    e.WatchRestored: _note(lambda _: "the watch is back"),
    e.TargetsUnknown: _note(lambda event: f"targets cannot be asked for: {event.why}"),
    e.Ended: _close,
}
