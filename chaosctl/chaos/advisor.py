"""Why requests failed: pods, targets and requests on one time axis. Each failed request is given one cause. Pure.

The rules are asked in order, the first that fits is the cause; one that fits nothing is UNKNOWN, not guessed. Settings
are named as in the values of the chart chaotic-backend.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from chaosctl.chaos import requests as r
from chaosctl.chaos.experiment import FaultPlan, Mode
from chaosctl.chaos.faults import FAULTS
from chaosctl.chaos.recovery import HEALTHY
from chaosctl.chaos.requests import Request
from chaosctl.chaos.timeline import ABSENT, CRASHED, ENDING, READY, UNREADY, Life, Timeline

SLACK = 0.5  # seconds: targets are polled five times a second, and pods are told of a little late
AFTER = 3.0  # seconds after a pod is gone in which a load balancer may still run into it
YOUNG = 60.0  # seconds after it became Ready in which a pod's 503 is still a cold start
ISOLATED = 3  # requests before and after it that went well
BALANCER_IDLE = 60  # seconds that an ALB keeps an idle connection, unless told otherwise
DROPPED = {r.RESET, r.CLOSED}  # the connection ended under the request


class Cause(Enum):
    """Why a request failed, in words."""

    TESTER = "this machine could not send it"
    CRASH = "a pod crashed or stopped answering, and was still given requests"
    BAD_VERSION = "pods of the new version answered badly"
    NO_GATE = "an old pod was ended before the load balancer served its successor: no readiness gate"
    DEREGISTRATION = "requests in flight were cut off: the deregistration delay is too short"
    KILLED = "a pod was killed without warning"
    NETWORK = "a pod was cut off by the network, and was still given requests"
    PRE_STOP = "a pod stopped serving while the load balancer still sent to it: preStop is too short"
    COLD_START = "a pod was given requests before it could answer them: cold start"
    NO_CAPACITY = "no pod that could serve was left"
    KEEP_ALIVE = "a kept-alive connection was closed by the app just as it was used again"
    ENTRANCE = "the load balancer itself could not be reached"
    UNKNOWN = "nothing that was seen of pods and targets explains it"


@dataclass(frozen=True)
class Finding:
    """The cause of one failed request; `pod` is the one that it is about, `needed` the seconds that were missing."""

    request: Request
    cause: Cause
    pod: str = ""
    needed: float = 0.0


@dataclass(frozen=True)
class Advice:
    """One cause with all its requests, and the smallest setting that would have avoided it; empty if none would."""

    cause: Cause
    because: str
    setting: str
    requests: int
    outcomes: str

    @property
    def title(self) -> str:
        """The cause in words."""
        return self.cause.value


def advise(line: Timeline) -> tuple[Advice, ...]:
    """What to change, the cause of most failures first. Empty when nothing failed."""
    findings = attribute(line)
    counts = Counter(finding.cause for finding in findings)
    return tuple(
        _advice(line, cause, [f for f in findings if f.cause is cause])
        for cause, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0].name))
    )


def attribute(line: Timeline) -> tuple[Finding, ...]:
    """A cause for every failed request from the first fault on, or of the whole run when there was none."""
    since = -math.inf if line.fault_at is None else line.fault_at
    judge = _Judge(line)
    return tuple(judge.cause_of(request) for request in line.bad() if _end(request) >= since)


def _hit(plan: FaultPlan, how: Callable[[FaultPlan], bool]) -> Iterator[str]:
    """UIDs of the pods that are victims of a fault of this kind."""
    for part in plan.parts or (plan,):
        if how(part):
            yield from (victim.uid for victim in part.victims if victim.kind == "Pod")


def _without_warning(part: FaultPlan) -> bool:
    """Whether the processes had no time to finish."""
    return part.mode is Mode.FORCED or (part.fault in FAULTS and FAULTS[part.fault].abrupt)


def _of_network(part: FaultPlan) -> bool:
    return part.fault in FAULTS and FAULTS[part.fault].of_network


def _begin(request: Request) -> float:
    return request.intended / 1e6


def _end(request: Request) -> float:
    return (request.intended + request.latency) / 1e6


@dataclass(frozen=True)
class _Leaving:
    """A pod that ended. Seconds of CLOCK_MONOTONIC: deletion seen (or the fault that left no time for one), SIGTERM at
    the earliest, gone from the API.
    """

    pod: Life
    ending: float
    stops: float
    gone: float
    warned: bool  # it had its grace period


class _Judge:
    """Asks the rules about one request after the other."""

    def __init__(self, line: Timeline) -> None:
        self._line = line
        plan = line.experiment.plan if line.experiment else None
        self._unwarned = set(_hit(plan, _without_warning)) if plan else set()
        self._behind_network = set(_hit(plan, _of_network)) if plan else set()
        self._leaving = [leaving for pod in line.pods.values() if (leaving := self._leave(pod)) is not None]
        self._ok = {
            stream: {request.number for request in requests if request.ok} for stream, requests in line.requests.items()
        }
        self._rules: tuple[Callable[[Request], Finding | None], ...] = (
            self._tester,
            self._answered,
            self._no_gate,
            self._cut_off,
            self._stopped,
            self._network,
            self._crash_seen,
            self._no_capacity,
            self._cold_start,
            self._keep_alive,
            self._entrance,
        )

    def cause_of(self, request: Request) -> Finding:
        """The first rule that fits."""
        found = (rule(request) for rule in self._rules)
        return next((finding for finding in found if finding), Finding(request, Cause.UNKNOWN))

    def _leave(self, pod: Life) -> _Leaving | None:
        gone = pod.first(ABSENT)
        until = gone if gone is not None else math.inf
        if pod.id in self._unwarned:
            hit = self._hit_at(pod)
            return _Leaving(pod, hit, hit, until, warned=False) if hit is not None else None
        ending = pod.first(ENDING)
        begin = ending if ending is not None else gone
        if begin is None:
            return None
        pre_stop = (self._line.settings.pre_stop if self._line.settings else None) or 0.0
        return _Leaving(pod, begin, begin + pre_stop, until, warned=True)

    def _hit_at(self, pod: Life) -> float | None:
        return next((fault.at for fault in self._line.faults if fault.text == pod.name), None)

    def _serving(self, at: float) -> list[Life]:
        return [target for target in self._line.targets.values() if target.state_at(at) == HEALTHY]

    def _tester(self, request: Request) -> Finding | None:
        return Finding(request, Cause.TESTER) if request.outcome == r.UNSENT else None

    def _answered(self, request: Request) -> Finding | None:
        """The app itself answered, and badly: one that has crashed (the backend says 500 then), or a new version.

        With neither it stays unknown; no later rule is about a pod that did answer.
        """
        if request.outcome != r.BODY and (request.outcome, request.status) != (r.STATUS, 500):
            return None
        crashed = self._crashed_near(request) if request.outcome == r.STATUS else None
        if crashed:
            return Finding(request, Cause.CRASH, crashed.name)
        new = self._new_version(request)
        return Finding(request, Cause.BAD_VERSION, new.name) if new else Finding(request, Cause.UNKNOWN)

    def _new_version(self, request: Request) -> Life | None:
        """A pod that may have answered it, of another controller than those that were ready when the run began."""
        old = {pod.owner for pod in self._line.pods.values() if pod.changes[0].state == READY}
        for pod in self._line.pods.values():
            if pod.owner in old:
                continue
            for spell in pod.spells(self._line.ended):
                serving = spell.state in (READY, ENDING) and spell.begin - SLACK <= _end(request)
                if serving and _begin(request) <= spell.end + SLACK:
                    return pod
        return None

    def _crash_seen(self, request: Request) -> Finding | None:
        pod = self._crashed_near(request)
        return Finding(request, Cause.CRASH, pod.name) if pod else None

    def _crashed_near(self, request: Request) -> Life | None:
        """A pod that was found crashed, or not ready any more, so soon after that it was broken at the time."""
        unseen = self._unseen()
        broken = (
            (pod, spell)
            for pod in self._line.pods.values()
            for spell in pod.spells(self._line.ended)
            if spell.state in (CRASHED, UNREADY)
        )
        for pod, spell in broken:
            if spell.begin - unseen <= _end(request) and _begin(request) <= spell.end + SLACK:
                return pod
        return None

    def _unseen(self) -> float:
        """How many seconds a crash can go unnoticed."""
        settings = self._line.settings
        probes = (settings.liveness, settings.readiness) if settings else ()
        return SLACK + max((probe.notices_within for probe in probes if probe), default=10.0)

    def _no_gate(self, request: Request) -> Finding | None:
        """Nobody served: a pod went when its successor was Ready for Kubernetes, but not at the load balancer."""
        at = _begin(request)
        if not self._line.targets or self._serving(at):
            return None
        for leaving in self._leaving:
            if leaving.ending > _end(request) + SLACK:
                continue
            for pod in self._line.pods.values():
                if not pod.gated and pod.state_at(leaving.ending) == READY and not self._served(pod, leaving.ending):
                    return Finding(request, Cause.NO_GATE, pod.name)
        return None

    def _served(self, pod: Life, at: float) -> bool:
        target = self._line.target_of(pod)
        return target is not None and target.state_at(at) == HEALTHY

    def _cut_off(self, request: Request) -> Finding | None:
        """Its target went away under it, while the pod still served."""
        for leaving in self._leaving:
            target = self._line.target_of(leaving.pod)
            left = target.first(ABSENT, after=leaving.ending - SLACK) if target else None
            if left is None or left >= leaving.stops or _end(request) >= leaving.stops or not leaving.warned:
                continue
            if _begin(request) <= left and _end(request) >= left - 2 * SLACK:
                return Finding(request, Cause.DEREGISTRATION, leaving.pod.name, request.latency / 1e6)
        return None

    def _stopped(self, request: Request) -> Finding | None:
        """A pod had stopped, or was just stopping. A 503 while nobody serves is the load balancer's own."""
        if request.status == 503 and self._line.targets and not self._serving(_begin(request)):
            return None
        for leaving in self._leaving:
            if leaving.stops - SLACK <= _end(request) and _begin(request) <= self._let_go(leaving) + AFTER:
                if not self._sent_to(leaving.pod, _begin(request)):
                    continue
                cause = Cause.PRE_STOP if leaving.warned else Cause.KILLED
                return Finding(request, cause, leaving.pod.name, _end(request) - leaving.ending)
        return None

    def _let_go(self, leaving: _Leaving) -> float:
        """When it was gone from the API and from the load balancer, which may send where no pod is any more."""
        target = self._line.target_of(leaving.pod)
        served = target.spells(self._line.ended) if target else []
        kept = [spell.end for spell in served if spell.state == HEALTHY and spell.begin <= leaving.ending < spell.end]
        return max(leaving.gone, *kept) if kept else leaving.gone

    def _network(self, request: Request) -> Finding | None:
        """No answer came while a fault was between a pod and the others. What a pod answered did get through."""
        unanswered = request.outcome in {r.TIMED_OUT, *DROPPED} or request.status in (502, 504)
        until = self._line.lifted_at if self._line.lifted_at is not None else math.inf
        if not unanswered or _begin(request) > until + AFTER:
            return None
        for pod in (pod for pod in self._line.pods.values() if pod.id in self._behind_network):
            hit = self._hit_at(pod)
            if hit is not None and hit <= _end(request) and self._sent_to(pod, _begin(request)):
                return Finding(request, Cause.NETWORK, pod.name, _end(request) - hit)
        return None

    def _sent_to(self, pod: Life, at: float) -> bool:
        """Whether the load balancer may have sent to it: it served, or its leaving was new, or nothing is known."""
        target = self._line.target_of(pod)
        if target is None:
            return not self._line.targets
        return any(target.state_at(moment) == HEALTHY for moment in (at, at - AFTER))

    def _cold_start(self, request: Request) -> Finding | None:
        """A 503 while a pod that has just come up is given requests. The backend answers so until it runs."""
        if request.status != 503:
            return None
        at = _begin(request)
        for pod in self._line.pods.values():
            served = self._began_to_serve(pod)
            if served is not None and served - SLACK <= at <= served + YOUNG:
                return Finding(request, Cause.COLD_START, pod.name, _end(request) - served)
        return None

    def _began_to_serve(self, pod: Life) -> float | None:
        """When a pod that appeared during the run was first given requests."""
        if pod.changes[0].state == READY:
            return None
        target = self._line.target_of(pod)
        moments = [pod.first(READY), target.first(HEALTHY, after=pod.changes[0].at) if target else None]
        return min((m for m in moments if m is not None), default=None)

    def _no_capacity(self, request: Request) -> Finding | None:
        at = _begin(request)
        ready = any(pod.state_at(at) == READY for pod in self._line.pods.values())
        empty = not self._serving(at) if self._line.targets else bool(self._line.pods) and not ready
        return Finding(request, Cause.NO_CAPACITY) if empty else None

    def _keep_alive(self, request: Request) -> Finding | None:
        """The connection was dropped for this request alone, and nothing happened to any pod."""
        dropped = request.outcome in DROPPED or (request.outcome == r.STATUS and request.status == 502)
        if not dropped or not self._alone(request):
            return None
        return Finding(request, Cause.KEEP_ALIVE)

    def _alone(self, request: Request) -> bool:
        good = self._ok[request.stream]
        around = (n for n in range(request.number - ISOLATED, request.number + ISOLATED + 1) if n >= 0)
        return all(n in good for n in around if n != request.number)

    def _entrance(self, request: Request) -> Finding | None:
        """Before any answer: the name, the connection or the certificate was at fault."""
        outside = {r.DNS, r.TLS, r.UNREACHABLE, r.REFUSED}
        return Finding(request, Cause.ENTRANCE) if request.outcome in outside else None


def _advice(line: Timeline, cause: Cause, findings: Sequence[Finding]) -> Advice:
    because, setting = _WORDS[cause](line, findings)
    outcomes = Counter(_shown(finding.request) for finding in findings)
    told = ", ".join(f"{n} {outcome}" for outcome, n in outcomes.most_common())
    return Advice(cause, because, setting, len(findings), told)


def _shown(request: Request) -> str:
    return f"status {request.status}" if request.outcome == r.STATUS else request.outcome


def _pods(findings: Iterable[Finding]) -> str:
    names = sorted({finding.pod for finding in findings if finding.pod})
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(names[:3]) or "a pod") + more


def _seconds(findings: Iterable[Finding]) -> int:
    """The longest that any of them needed, in whole seconds and one for safety."""
    return math.ceil(max((finding.needed for finding in findings), default=0.0)) + 1


Words = tuple[str, str]


def _crash(line: Timeline, findings: Sequence[Finding]) -> Words:
    span = _end(findings[-1].request) - _begin(findings[0].request)
    probe = line.settings.readiness if line.settings else None
    now = f" The readiness probe takes up to {probe.notices_within:g} s to notice." if probe else ""
    because = f"{_pods(findings)} answered with errors for {span:.1f} s until it was taken out.{now}"
    timeout = probe.timeout if probe else 1.0
    allowed = (line.experiment.budgets.downtime_seconds if line.experiment else 0.0) - _until_left_alone(line, findings)
    failures = max(1, math.floor(allowed - timeout))
    if probe and probe.period * probe.failures <= failures:
        return because, ""
    if 1 + timeout > allowed:
        because += f" Even the quickest probe takes up to {1 + timeout:g} s, more than the budget leaves for it."
    return because, f"probes.readiness: {{periodSeconds: 1, failureThreshold: {failures}}}"


def _until_left_alone(line: Timeline, findings: Sequence[Finding]) -> float:
    """Seconds from the moment when Kubernetes had noticed until the last request failed: those no probe can save."""
    names, since = {finding.pod for finding in findings}, _begin(findings[0].request)
    moments = [pod.first(UNREADY, CRASHED, after=since) for pod in line.pods.values() if pod.name in names]
    noticed = min((moment for moment in moments if moment is not None), default=math.inf)
    return max(0.0, max(_end(finding.request) for finding in findings) - noticed)


def _bad_version(line: Timeline, findings: Sequence[Finding]) -> Words:
    because = (
        f"{_pods(findings)} passed its probes and answered users with errors. No setting avoids that: only a probe "
        "that asks what users ask sees it, and only the version before it helps."
    )
    return because, ""


def _no_gate(line: Timeline, findings: Sequence[Finding]) -> Words:
    because = (
        f"{_pods(findings)} was Ready for Kubernetes while its target was not healthy yet, so an old pod was allowed "
        "to go and no target was left. With a readiness gate a pod is Ready only when the load balancer serves it."
    )
    return because, "label on the namespace: elbv2.k8s.aws/pod-readiness-gate-inject=enabled"


def _deregistration(line: Timeline, findings: Sequence[Finding]) -> Words:
    balancer = line.settings.balancer if line.settings else None
    has = balancer.deregistration_delay if balancer else None
    now = f" The delay is {has:g} s." if has is not None else ""
    because = f"The target of {_pods(findings)} was removed while requests to it were under way.{now}"
    return because, f"ingress.deregistrationDelaySeconds: {_seconds(findings)}"


def _killed(line: Timeline, findings: Sequence[Finding]) -> Words:
    because = (
        f"{_pods(findings)} had no time to finish, and requests failed for {max(f.needed for f in findings):.1f} s "
        "until the load balancer had noticed. preStop does not run in such a kill; only noticing sooner helps."
    )
    return because, _noticing_sooner(line)


def _network(line: Timeline, findings: Sequence[Finding]) -> Words:
    longest = max(finding.needed for finding in findings)
    because = (
        f"What {_pods(findings)} sent did not arrive, and requests to it failed until {longest:.1f} s after that. "
        "Nothing was wrong in it: noticing sooner helps, and so does asking again."
    )
    return because, _noticing_sooner(line)


def _noticing_sooner(line: Timeline) -> str:
    balancer = line.settings.balancer if line.settings else None
    if balancer and (balancer.interval, balancer.unhealthy) == (5, 2):
        return ""  # an ALB does not check more often
    return "ingress.healthCheck: {intervalSeconds: 5, timeoutSeconds: 2, unhealthyThreshold: 2}"


def _pre_stop(line: Timeline, findings: Sequence[Finding]) -> Words:
    settings = line.settings
    has = f" preStop sleeps {settings.pre_stop:g} s." if settings and settings.pre_stop is not None else ""
    longest = max(finding.needed for finding in findings)
    because = f"The last request to {_pods(findings)} failed {longest:.1f} s after its deletion.{has}"
    wanted = _seconds(findings)
    if settings and settings.grace <= wanted + 5:
        return because, f"preStopSleepSeconds: {wanted}, terminationGracePeriodSeconds: {wanted + 20}"
    return because, f"preStopSleepSeconds: {wanted}"


def _cold_start(line: Timeline, findings: Sequence[Finding]) -> Words:
    probe, wanted = (line.settings.readiness if line.settings else None), _seconds(findings)
    because = f"{_pods(findings)} still answered 503 up to {wanted - 1} s after it was first given requests."
    balancer = line.settings.balancer if line.settings else None
    if probe is None or probe.path != "/health/ready":
        return because, "probes.readiness.path: /health/ready"
    if balancer and balancer.path != "/health/ready":
        return because, "ingress.healthCheck.path: /health/ready"
    return because, f"probes.startup: {{periodSeconds: 1, failureThreshold: {wanted}}}"


def _no_capacity(line: Timeline, findings: Sequence[Finding]) -> Words:
    span = _end(findings[-1].request) - _begin(findings[0].request)
    leaving = max(len(line.faults), 1)
    because = f"For {span:.1f} s no target was healthy; {leaving} pods were ended at once."
    return because, f"autoscaling.minReplicas: {leaving + 1}, or replicaCount without the HPA"


def _keep_alive(line: Timeline, findings: Sequence[Finding]) -> Words:
    balancer = line.settings.balancer if line.settings else None
    told = balancer.idle_timeout if balancer else None
    idle = math.ceil(BALANCER_IDLE if told is None else told)
    keeps = (
        f"which keeps them for {idle} s"
        if told is not None
        else (
            f"which is assumed to keep them for {idle} s, as an ALB does unless told otherwise: it could not be asked"
        )
    )
    because = (
        "Single requests failed although nothing happened to any pod: the app closes idle connections sooner than the "
        f"load balancer, {keeps}."
    )
    wanted = idle + 5
    return because, f"keep-alive time-out of the app: {wanted} s (Node: server.keepAliveTimeout = {wanted}_000)"


def _plain(because: str) -> Callable[[Timeline, Sequence[Finding]], Words]:
    return lambda line, findings: (because, "")


def _unknown(line: Timeline, findings: Sequence[Finding]) -> Words:
    look = "Look at the logs of the pods and of the load balancer at these moments."
    if any(finding.request.status == 500 for finding in findings):
        return f"The app answered with errors, and no pod was seen crashing, nor one of a new version. {look}", ""
    return look, ""


_WORDS: dict[Cause, Callable[[Timeline, Sequence[Finding]], Words]] = {
    Cause.TESTER: _plain("The prober ran out of descriptors, ports or memory; this says nothing about the service."),
    Cause.CRASH: _crash,
    Cause.BAD_VERSION: _bad_version,
    Cause.NO_GATE: _no_gate,
    Cause.DEREGISTRATION: _deregistration,
    Cause.KILLED: _killed,
    Cause.NETWORK: _network,
    Cause.PRE_STOP: _pre_stop,
    Cause.COLD_START: _cold_start,
    Cause.NO_CAPACITY: _no_capacity,
    Cause.KEEP_ALIVE: _keep_alive,
    Cause.ENTRANCE: _plain(
        "The name did not resolve, or nothing accepted a connection there; look at the load balancer."
    ),
    Cause.UNKNOWN: _unknown,
}
