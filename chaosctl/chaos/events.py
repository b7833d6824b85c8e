"""What a run says while it happens. The journal holds exactly these, and a run can be judged again from them alone.

`at` is seconds of CLOCK_MONOTONIC; ExperimentStarted ties it to the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chaosctl.chaos.cluster import PodState, TargetState
from chaosctl.chaos.experiment import Experiment
from chaosctl.chaos.requests import Request
from chaosctl.chaos.settings import AppSettings
from chaosctl.events import Event


@dataclass(frozen=True)
class ChaosEvent(Event):
    """Base of these events."""

    at: float


Tell = Callable[[ChaosEvent], None]  # takes what has been learnt


@dataclass(frozen=True)
class ExperimentStarted(ChaosEvent):
    """Begins the journal. `wall` is seconds since the epoch at the same moment as `at`."""

    wall: float
    version: str
    experiment: Experiment


@dataclass(frozen=True)
class PhaseStarted(ChaosEvent):
    """gate, inject, observe, recover or verify."""

    phase: str


@dataclass(frozen=True)
class SettingsSeen(ChaosEvent):
    """How the app was set up to survive when the run began."""

    settings: AppSettings


@dataclass(frozen=True)
class RepeatedBy(ChaosEvent):
    """The command line that does the same again."""

    command: str


@dataclass(frozen=True)
class ClockSeen(ChaosEvent):
    """The wall clock at the same moment as `at`: when their difference changes, the machine slept or was set."""

    wall: float


@dataclass(frozen=True)
class PodSeen(ChaosEvent):
    """The watch told of a pod: `change` is ADDED (also: existed at the beginning), MODIFIED or DELETED."""

    change: str
    pod: PodState


@dataclass(frozen=True)
class WatchBroken(ChaosEvent):
    """Pods are not seen from now on."""

    why: str


@dataclass(frozen=True)
class WatchRestored(ChaosEvent):
    """Pods are seen again; what happened meanwhile was told late."""


@dataclass(frozen=True)
class TargetsSeen(ChaosEvent):
    """The load balancer's targets changed since the last look, or were looked at for the first time."""

    targets: tuple[TargetState, ...]


@dataclass(frozen=True)
class TargetsUnknown(ChaosEvent):
    """They could not be asked for."""

    why: str


@dataclass(frozen=True)
class AlarmSeen(ChaosEvent):
    """An alarm that the run expects changed its state, or was looked at for the first time."""

    name: str
    state: str  # OK, ALARM, INSUFFICIENT_DATA or missing


@dataclass(frozen=True)
class TrafficStarted(ChaosEvent):
    """The prober's schedule begins at `at`."""


@dataclass(frozen=True)
class RequestsSeen(ChaosEvent):
    """Requests that ended.

    waiting  by stream, if the oldest one in flight is no young one: when that was to be sent, and when this was so, in
             microseconds
    """

    requests: tuple[Request, ...]
    waiting: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class BodyLearnt(ChaosEvent):
    """Keys that every right body has, from the first good answer; empty when it is no JSON object."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class TrafficEnded(ChaosEvent):
    """The prober's own account: per stream scheduled, ok, bad, timed out, unsent."""

    totals: dict[str, tuple[int, int, int, int, int]]
    in_flight: int
    cpu_seconds: float
    seconds: float


@dataclass(frozen=True)
class TrafficLost(ChaosEvent):
    """The prober ended before it was told to, or without an account."""

    why: str


@dataclass(frozen=True)
class Steady(ChaosEvent):
    """The gate is open."""

    ready: int


@dataclass(frozen=True)
class NotSteady(ChaosEvent):
    """The gate stayed shut."""

    why: str


@dataclass(frozen=True)
class Attempted(ChaosEvent):
    """The API is about to be asked for a change that is a part of the fault: from now on it may have happened."""

    what: str


@dataclass(frozen=True)
class Declined(ChaosEvent):
    """It answered that this was not done."""

    what: str


@dataclass(frozen=True)
class Injected(ChaosEvent):
    """The API acknowledged the end of this victim, at `at`."""

    uid: str
    name: str


@dataclass(frozen=True)
class NotInjected(ChaosEvent):
    """The API did not accept it."""

    uid: str
    name: str
    why: str


@dataclass(frozen=True)
class Proved(ChaosEvent):
    """A victim that is no pod shows that it was hit; `evidence` says how."""

    uid: str
    name: str
    evidence: str


@dataclass(frozen=True)
class Outstanding(ChaosEvent):
    """What the fault itself still misses beside pods, targets and traffic (a node); empty when nothing."""

    missing: str


@dataclass(frozen=True)
class Lifted(ChaosEvent):
    """The fault was undone, at `at`; from now on a held fault recovers."""

    what: str


@dataclass(frozen=True)
class NotLifted(ChaosEvent):
    """Undoing it failed: the entry of the undo log stays."""

    why: str


@dataclass(frozen=True)
class Drifted(ChaosEvent):
    """Refused at the last moment: the cluster is not the planned one any more, or a guard rail forbids it now."""

    code: str
    why: str


@dataclass(frozen=True)
class BudgetBreached(ChaosEvent):
    """Nothing more is injected."""

    why: str


@dataclass(frozen=True)
class Interrupted(ChaosEvent):
    """Ctrl-C or SIGTERM."""

    phase: str


@dataclass(frozen=True)
class Verified(ChaosEvent):
    """A fresh look at the end, independent of the watch: all pods that exist."""

    pods: tuple[PodState, ...]


@dataclass(frozen=True)
class NotVerified(ChaosEvent):
    """That look failed."""

    why: str


@dataclass(frozen=True)
class Ended(ChaosEvent):
    """Ends the journal."""

    verdict: str
    reasons: tuple[str, ...]
