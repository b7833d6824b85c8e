"""What an experiment is: plain frozen data, fixed before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chaosctl.adapters.pod import Pod
from chaosctl.chaos.cluster import Place


class Mode(StrEnum):
    """How a pod is killed."""

    GRACEFUL = "graceful"  # delete: SIGTERM, the pod's own grace period
    FORCED = "forced"  # delete with grace 0: gone from the API at once, killed without warning
    EVICT = "evict"  # eviction API: PodDisruptionBudgets are honoured


class Sign(StrEnum):
    """What shows that a victim was really hit."""

    GONE = "gone"  # a pod: its UID exists no more
    RESTARTED = "restarted"  # a pod: its restart count has risen
    CHANGED = "changed"  # anything else: the fault itself knows how to see it


@dataclass(frozen=True)
class Aim:
    """What the user asked for, before victims are chosen.

    count       how many pods; or
    percent     how many of the ready pods; one pod when neither is set
    consent     more than the default blast radius is wanted (--yes-really)
    ignore_pdb  delete although a PodDisruptionBudget would be violated
    fault       its name among the faults
    options     what this kind of fault can be told, as its own `Options` says
    parts       faults that happen at once; then `fault` is "together"
    spare       UIDs of pods that are not to be chosen: another part has them
    """

    seed: int
    mode: Mode = Mode.GRACEFUL
    count: int | None = None
    percent: float | None = None
    consent: bool = False
    ignore_pdb: bool = False
    fault: str = "pod-kill"
    options: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Aim, ...] = ()
    spare: tuple[str, ...] = ()


@dataclass(frozen=True)
class Victim:
    """What is going to be hit, mostly a pod. Its UID is its identity: a name can come back, a UID cannot.

    namespace  of a victim outside the app's own; empty for one inside it
    before     what `sign` is compared with: restarts, a generation, the state of an instance
    """

    uid: str
    name: str
    node: str
    ip: str
    owner: str  # Kind/name of the controller that replaces it
    owner_uid: str
    kind: str = "Pod"
    namespace: str = ""
    sign: Sign = Sign.GONE
    before: str = ""

    @classmethod
    def of(cls, pod: Pod, *, namespace: str = "", sign: Sign = Sign.GONE) -> Victim:
        """The pod as a victim."""
        before = str(pod.restarts)
        return cls(pod.uid, pod.name, pod.node, pod.ip, pod.owner, pod.owner_uid, "Pod", namespace, sign, before)


@dataclass(frozen=True)
class FaultPlan:
    """Exactly what will be done to whom.

    ready     how many of the app's pods were ready when it was made
    options   what this kind of fault was told
    also      other places whose pods are watched, because victims are there
    held      it lasts until it is undone: recovery is counted from then on
    expected  how many of the app's pods are to be ready while it is held; 0: that does not matter
    parts     what happens at once, when `fault` is "together"
    """

    fault: str
    mode: Mode
    seed: int
    place: Place
    victims: tuple[Victim, ...]
    ready: int
    options: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[Place, ...] = ()
    held: bool = False
    expected: int = 0
    parts: tuple[FaultPlan, ...] = ()

    @property
    def recovers_from(self) -> str:
        """In a word, what the recovery clocks start at."""
        return "undo" if self.held else "fault"


@dataclass(frozen=True)
class TrafficPlan:
    """Open-loop traffic to one URL: `rate` requests a second on each of two streams.

    timeout        seconds from the intended send time until a request counts as timed out
    pool           idle connections that the reused stream keeps
    expected_keys  top-level keys that the JSON body must have; None: learnt from the first good answer
    ca_file        PEM file of the authorities to trust for https, beside those of the system; or empty
    control        URL of a place beside the service that no fault touches: what fails there too was the tester's own
                   network; or empty
    """

    url: str
    rate: float = 50.0
    timeout: float = 2.0
    pool: int = 4
    expected_keys: tuple[str, ...] | None = None
    ca_file: str = ""
    control: str = ""


@dataclass(frozen=True)
class Budgets:
    """What users may notice. Success in per cent per stream, downtime in seconds per stream, recovery per clock.

    latency_seconds   99th percentile of the good answers of a stream; a failed one has no latency worth a name
    recovery_seconds  of a clock without a budget of its own
    """

    success_percent: float = 99.0
    downtime_seconds: float = 1.0
    latency_seconds: float = 1.0
    recovery_seconds: float = 120.0
    replacements_seconds: float | None = None
    targets_seconds: float | None = None
    traffic_seconds: float | None = None

    def of_clock(self, name: str) -> float:
        """Seconds that the clock `replacements`, `targets` or `traffic` may show."""
        own: float | None = getattr(self, f"{name}_seconds")
        return self.recovery_seconds if own is None else own

    def keeps_success(self, percent: float) -> bool:
        """Whether so many of the requests of a stream are enough."""
        return percent >= self.success_percent

    def keeps_downtime(self, seconds: float) -> bool:
        """Whether so much downtime of a stream is allowed."""
        return seconds <= self.downtime_seconds

    def keeps_latency(self, milliseconds: float | None) -> bool:
        """Whether this is a fast enough 99th percentile; None, of no good answer at all, is not too slow."""
        return milliseconds is None or milliseconds <= 1000 * self.latency_seconds

    def keeps_clock(self, name: str, seconds: float) -> bool:
        """Whether this clock may show so much."""
        return seconds <= self.of_clock(name)

    @property
    def longest_recovery(self) -> float:
        """The largest budget of a clock."""
        return max(self.of_clock(name) for name in ("replacements", "targets", "traffic"))


@dataclass(frozen=True)
class Timing:
    """How long each phase lasts, in seconds.

    steady         clean traffic that the gate wants to see
    steady_within  how long the gate waits for that
    observe        shortest observation after the fault
    clean          clean traffic after which users count as recovered
    give_up        from the fault: what has not recovered by then never does
    abort          how long an aborted run goes on to verify the recovery
    poll           between the beginnings of two looks at the load balancer's targets
    """

    steady: float = 5.0
    steady_within: float = 60.0
    observe: float = 30.0
    clean: float = 10.0
    give_up: float = 180.0
    abort: float = 60.0
    poll: float = 0.2


@dataclass(frozen=True)
class Experiment:
    """Everything that a run needs to know. `aim` carries what the user agreed to beyond the default guard rails.

    alarms  names of those that are to go off, and to be over again
    """

    environment: str
    target: str
    aim: Aim
    plan: FaultPlan
    traffic: TrafficPlan
    budgets: Budgets = Budgets()
    timing: Timing = Timing()
    alarms: tuple[str, ...] = ()
