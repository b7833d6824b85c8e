"""Runs told by hand: what pods, targets and users did, as the events that a journal would hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chaosctl.chaos import events as e
from chaosctl.chaos.cluster import PodState, TargetState
from chaosctl.chaos.experiment import Aim, Experiment, FaultPlan, Mode, TrafficPlan, Victim
from chaosctl.chaos.requests import CONTROL, NEW, REUSED, Request
from chaosctl.chaos.settings import AppSettings, HealthCheck, Probe
from tests.unit.chaos.fakes import PLACE

BEGIN, FAULT, END = 1000.0, 1010.0, 1050.0
RATE = 50.0
GATE = ("target-health.elbv2.k8s.aws/shop",)
SOUND = AppSettings(
    replicas=3,
    gates=GATE,
    pre_stop=10.0,
    grace=30.0,
    readiness=Probe("/health/ready", 1.0, 1.0, 2),
    liveness=Probe("/health/live", 3.0, 2.0, 3),
    startup=Probe("/health/live", 1.0, 1.0, 60),
    balancer=HealthCheck("/health/ready", 5.0, 2.0, 2, 2, 10.0),
)
Failures = Mapping[tuple[float, float], tuple[str, str, int]]  # (from, to) after the fault to (stream, outcome, status)


class Story:
    """Three pods that are ready, a target for each, and good traffic; the test tells what goes differently."""

    def __init__(self, settings: AppSettings | None = SOUND, mode: Mode = Mode.GRACEFUL) -> None:
        self.settings = settings
        gates = settings.gates if settings else GATE
        self.pods = {
            n: PodState(
                f"uid-{n}", f"web-{n}", "node-a", f"10.0.0.{n}", "rs", True, False, "Running", 0, "", True, gates
            )
            for n in (1, 2, 3)
        }
        self.states = {f"10.0.0.{n}": "healthy" for n in (1, 2, 3)}
        victim = Victim("uid-1", "web-1", "node-a", "10.0.0.1", "ReplicaSet/shop", "rs")
        plan = FaultPlan("pod-kill", mode, 7, PLACE, (victim,), 3)
        traffic = TrafficPlan("http://shop.example/probe/data", RATE)
        self.experiment = Experiment("default", "lab", Aim(7, mode, 1), plan, traffic)
        self.events: list[e.ChaosEvent] = []
        for pod in self.pods.values():
            self.events.append(e.PodSeen(BEGIN, "ADDED", pod))
        self._targets(BEGIN)

    def pod(self, after: float, number: int, change: str = "MODIFIED", **traits: object) -> Story:
        """A pod changes, `after` seconds after the fault."""
        gates = self.settings.gates if self.settings else GATE
        fresh = PodState(
            f"uid-{number}", f"web-{number}", "node-a", f"10.0.0.{number}", "rs", False, False, "Pending", gates=gates
        )
        self.pods[number] = replace(self.pods.get(number, fresh), **traits)  # type: ignore[arg-type]
        self.events.append(e.PodSeen(FAULT + after, change, self.pods[number]))
        return self

    def leaves(self, after: float, number: int, gone: float) -> Story:
        """It is deleted, and gone later."""
        return self.pod(after, number, ready=False, deleting=True).pod(gone, number, "DELETED")

    def arrives(self, after: float, number: int, ready: float) -> Story:
        """It is made, and ready later."""
        return self.pod(after, number, "ADDED").pod(ready, number, ready=True, phase="Running", contained=True)

    def target(self, after: float, number: int, state: str) -> Story:
        """A target changes; an empty state takes it away."""
        self.states[f"10.0.0.{number}"] = state
        self._targets(FAULT + after)
        return self

    def _targets(self, at: float) -> None:
        found = tuple(TargetState(ip, 3000, state) for ip, state in sorted(self.states.items()) if state)
        self.events.append(e.TargetsSeen(at, found))

    def told(self, failures: Failures | None = None, latency: float = 0.005) -> list[e.ChaosEvent]:
        """All events in order. Requests that begin in a span of `failures` fail so."""
        requests = [r for stream in (NEW, REUSED) for r in self._requests(stream, failures or {}, latency)]
        last = [e.TrafficEnded(END, self._totals(requests), 0, 1.0, 40.0), e.Ended(END, "PASS", ())]
        first = [e.ExperimentStarted(BEGIN, 1.7e9, "0.1.0", self.experiment)]
        if self.settings:
            first.append(e.SettingsSeen(BEGIN, self.settings))  # type: ignore[arg-type]
        told: list[e.ChaosEvent] = [
            *self.events,
            e.PhaseStarted(BEGIN, "gate"),
            e.TrafficStarted(BEGIN),
            e.PhaseStarted(FAULT - 0.1, "inject"),
            e.Injected(FAULT, "uid-1", "web-1"),
            e.PhaseStarted(FAULT + 0.1, "observe"),
            e.RequestsSeen(END, tuple(requests)),
            e.PhaseStarted(END, "verify"),
            e.Verified(END, tuple(p for n, p in self.pods.items() if not p.deleting)),
        ]
        return [*first, *sorted(told, key=lambda event: event.at), *last]

    def _requests(self, stream: str, failures: Failures, latency: float) -> list[Request]:
        made = []
        for number in range(int((END - BEGIN) * RATE)):
            at = BEGIN + number / RATE
            outcome, status, slow = "ok", 200, 0.005
            for (begin, end), (which, kind, code) in failures.items():
                if begin <= round(at - FAULT, 6) < end and which in (stream, "both"):
                    outcome, status, slow = kind, code, latency
            made.append(Request(stream, number, round(at * 1e6), round(slow * 1e6), 500, outcome, status))
        return made

    def _totals(self, requests: list[Request]) -> dict[str, tuple[int, int, int, int, int]]:
        totals = {CONTROL: (0, 0, 0, 0, 0)}
        for stream in (NEW, REUSED):
            mine = [r for r in requests if r.stream == stream]
            ok, late, unsent = (sum(r.outcome == kind for r in mine) for kind in ("ok", "timeout", "unsent"))
            totals[stream] = (len(mine), ok, len(mine) - ok - late - unsent, late, unsent)
        return totals


def killed(settings: AppSettings | None = SOUND) -> Story:
    """One pod is killed gracefully and replaced, as it should be."""
    story = Story(settings).leaves(0.05, 1, 12.0).arrives(0.1, 4, 3.0)
    story.target(0.3, 1, "draining").target(2.6, 4, "initial").target(2.9, 4, "healthy").target(10.3, 1, "")
    return story
