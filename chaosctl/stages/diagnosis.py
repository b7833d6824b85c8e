"""Why something does not become ready: from objects and events as the API shows them to one named cause.

Everything here is a pure function of Evidence. Each rule recognises one kind of fault; the order of RULES is the order
in which causes are believed: what makes the rest happen comes first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from chaosctl.adapters.kube import Object

IMAGE = "image"
CRASH_LOOP = "crash loop"
OUT_OF_MEMORY = "out of memory"
UNSCHEDULABLE = "unschedulable"
READINESS = "failing readiness"
LIVENESS = "failing liveness"
BUDGET = "disruption budget"
WEBHOOK = "webhook down"
PERMISSION = "missing permission"
SUBNETS = "subnet tags"
QUOTA = "quota"
CREDENTIALS = "expired credentials"

RETRIES_SECONDS = 12.0  # after this a pull has been tried twice, a scheduler has looked again, a controller as well
FAILOVER_SECONDS = 90.0  # after this a node that died counts as lost, and nobody asks the webhook's replica on it
NOBODY = re.compile(r'no endpoints available|service "[^"]+" not found')  # no other replica that could be asked
LOOP_RESTARTS = 2  # so often a container must have been restarted to be looping
IMAGE_TROUBLE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
AWS_EVENTS = ("Ingress", "TargetGroupBinding", "Service")  # kinds about which the load balancer controller speaks
SCALING_UP = ("TriggeredScaleUp", "Nominated")  # an autoscaler is about to bring a node

# In the order in which they are believed. The messages are those of the AWS SDKs and of the load balancer controller.
AWS_SIGNS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        CREDENTIALS,
        re.compile(r"ExpiredToken|RequestExpired|included in the request is (expired|invalid)|InvalidClientToken"),
        "log in again (`aws sso login`), then run the same command; in a pod: restart it",
    ),
    (
        PERMISSION,
        re.compile(r"AccessDenied|UnauthorizedOperation|is not authorized to perform"),
        "give that role the action that is named; `chaosctl infra` puts back what Terraform gives it",
    ),
    (
        SUBNETS,
        re.compile(r"auto-discover subnets|unable to resolve at least|no matching subnet|SubnetNotFound"),
        "tag the public subnets kubernetes.io/role/elb=1, the private ones kubernetes.io/role/internal-elb=1: "
        "`chaosctl infra` does",
    ),
    (
        QUOTA,
        re.compile(r"LimitExceeded|TooMany(?!Requests)[A-Z]\w+|QuotaExceeded|InsufficientFreeAddresses"),
        "delete what is not needed, or have that quota raised (Service Quotas console)",
    ),
)


@dataclass(frozen=True)
class Evidence:
    """What the API shows of one Deployment: all as it answers, `errors` what requests were refused with."""

    pods: Sequence[Object] = ()
    events: Sequence[Object] = ()
    budgets: Sequence[Object] = ()
    deployment: Object | None = None
    errors: Sequence[str] = ()
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong.

    object    kind, namespace and name
    event     the last event about it
    hopeless_after  seconds that it must last until waiting is pointless; None when only time can tell
    container whose log says more, and `previous` when that of its last life does
    """

    fault: str
    object: str
    reason: str
    remedy: str
    event: str = ""
    hopeless_after: float | None = None
    pod: str = ""
    container: str = ""
    previous: bool = False
    log: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """For people: what, why, what was said."""
        event = [f"event: {self.event}"] if self.event else []
        return [f"{self.fault}: {self.object}: {self.reason}", *event, *(f"log: {line}" for line in self.log)]


def causes(evidence: Evidence) -> list[Cause]:
    """All that is wrong, what to believe first comes first; empty when nothing is recognised."""
    found = [cause for rule in RULES for cause in rule(evidence)]
    return [replace(cause, hopeless_after=0.0) for cause in found] if _gave_up(evidence.deployment) else found


def _gave_up(deployment: Object | None) -> bool:
    conditions = (deployment or {}).get("status", {}).get("conditions") or ()
    return any(c["type"] == "Progressing" and c.get("reason") == "ProgressDeadlineExceeded" for c in conditions)


def webhook_down(evidence: Evidence) -> Iterator[Cause]:
    """The API server cannot ask a webhook, so that nothing is created."""
    failed = [e for e in _latest(evidence.events) if not _made_since(evidence, e)]
    told = [(_about(e), _line(e), e.get("message", "")) for e in failed]
    for subject, event, text in [*told, *(("the request", "", error) for error in evidence.errors)]:
        if called := re.search(r'failed calling webhook "([^"]+)"', text):
            service = re.search(r"https://([^./]+)\.([^./]+)\.svc", text)
            where = f" (Service {service.group(2)}/{service.group(1)})" if service else ""
            yield Cause(
                WEBHOOK,
                f"webhook {called.group(1)}{where}",
                f"does not answer, so that {subject} cannot be made: {_end(text)}",
                "run `chaosctl controller`, then see with `kubectl get endpointslices -A` whether its pods serve",
                event,
                RETRIES_SECONDS if NOBODY.search(text) else FAILOVER_SECONDS,
            )
            return


def _made_since(evidence: Evidence, failed: Object) -> bool:
    """Whether what could not be made then was made later, by the same object."""
    return any(
        e.get("reason") == "SuccessfulCreate"
        and e["involvedObject"].get("uid") == failed["involvedObject"].get("uid")
        and when(e) >= when(failed)
        for e in evidence.events
    )


def aws_refuses(evidence: Evidence) -> Iterator[Cause]:
    """AWS does not let the controller, or us, do something: permissions, tags, quotas, credentials."""
    relevant = [e for e in _latest(evidence.events) if e["involvedObject"].get("kind") in AWS_EVENTS]
    told = [(_about(e), _line(e), e.get("message", "")) for e in relevant if e.get("type") == "Warning"]
    for subject, event, text in [*told, *(("AWS", "", error) for error in evidence.errors)]:
        for fault, sign, remedy in AWS_SIGNS:
            if sign.search(text):
                yield Cause(fault, subject, _aws_reason(text), remedy, event, RETRIES_SECONDS)
                break


def _aws_reason(text: str) -> str:
    """The action that is missing, or the AWS error with its message."""
    action = re.search(r"(\S+) is not authorized to perform: (\S+)", text)
    if action:
        return f"{action.group(1)} may not do {action.group(2)}"
    error = re.search(r"api error (.*)", text, re.DOTALL)
    return _end(error.group(1) if error else text)


def image(evidence: Evidence) -> Iterator[Cause]:
    """An image cannot be had."""
    for pod, status in _containers(evidence):
        waiting = status.get("state", {}).get("waiting", {})
        if waiting.get("reason") in IMAGE_TROUBLE:
            failed = _event(evidence, pod, "Failed", "image") or _event(evidence, pod)
            yield _of_container(
                pod,
                status,
                IMAGE,
                f"{waiting['reason']}: {status.get('image')}: {_end(waiting.get('message') or failed)}",
                "correct image.repository and image.tag, or let the nodes reach the registry",
                failed,
                RETRIES_SECONDS,
            )


def out_of_memory(evidence: Evidence) -> Iterator[Cause]:
    """A container was killed because it took more memory than its limit."""
    for pod, status in _containers(evidence):
        if _ended(status).get("reason") == "OOMKilled":
            limit = _spec(pod, status["name"]).get("resources", {}).get("limits", {}).get("memory", "not set")
            yield _of_container(
                pod,
                status,
                OUT_OF_MEMORY,
                f"OOMKilled, {status.get('restartCount', 0)} restarts, its memory limit is {limit}",
                "raise resources.limits.memory, or find out what takes so much",
                _event(evidence, pod),
                _looping(evidence, pod, status),
            )


def liveness(evidence: Evidence) -> Iterator[Cause]:
    """The kubelet restarts a container because its liveness or startup probe fails."""
    for pod, status in _containers(evidence):
        for probe in ("Liveness", "Startup"):
            killed = _event(evidence, pod, "Killing", f"failed {probe.lower()} probe")
            failed = _event(evidence, pod, "Unhealthy", f"{probe} probe")
            if killed and failed:
                yield _of_container(
                    pod,
                    status,
                    LIVENESS,
                    f"{_end(failed.partition(': ')[2])}, {status.get('restartCount', 0)} restarts",
                    f"correct probes.{probe.lower()}, or give the container longer to answer",
                    failed,
                    _looping(evidence, pod, status),
                )
                break


def crash_loop(evidence: Evidence) -> Iterator[Cause]:
    """A container ends again and again by itself."""
    for pod, status in _containers(evidence):
        ended = _ended(status)
        if not ended or status.get("ready") or ended.get("reason") == "OOMKilled":
            continue
        if not status.get("restartCount") and "terminated" not in status.get("state", {}):
            continue
        how = f"signal {ended['signal']}" if ended.get("signal") else f"exit status {ended.get('exitCode')}"
        yield _of_container(
            pod,
            status,
            CRASH_LOOP,
            f"ended with {how}, {status.get('restartCount', 0)} restarts",
            "correct what its log says",
            _event(evidence, pod, "BackOff") or _event(evidence, pod),
            _looping(evidence, pod, status),
        )


def unschedulable(evidence: Evidence) -> Iterator[Cause]:
    """No node takes the pod."""
    making_room = any("deletionTimestamp" in pod["metadata"] for pod in evidence.pods)
    for pod in _living(evidence):
        condition = _condition(pod, "PodScheduled")
        if condition.get("status") == "False" and condition.get("reason") == "Unschedulable":
            scaling = any(_event(evidence, pod, reason) for reason in SCALING_UP)
            yield Cause(
                UNSCHEDULABLE,
                _name("Pod", pod),
                _end(condition.get("message", "no node takes it")),
                "ask for less (resources.requests), or for more nodes (infra.node_max_size, infra.node_desired_size)",
                _event(evidence, pod, "FailedScheduling"),
                None if making_room or scaling else RETRIES_SECONDS,
                pod["metadata"]["name"],
            )


def readiness(evidence: Evidence) -> Iterator[Cause]:
    """It runs, but says that it is not ready, or the load balancer finds that it is not. Only time can tell."""
    for pod, status in _containers(evidence):
        failed = _event(evidence, pod, "Unhealthy", "Readiness probe")
        if "running" in status.get("state", {}) and not status.get("ready") and failed:
            yield _of_container(
                pod,
                status,
                READINESS,
                _end(failed.partition(": ")[2]),
                "see in its log why it is not ready, or correct probes.readiness",
                failed,
                None,
            )
    for pod in _living(evidence):
        if _condition(pod, "ContainersReady").get("status") == "True":
            yield from _gates(evidence, pod)


def _gates(evidence: Evidence, pod: Object) -> Iterator[Cause]:
    for gate in pod.get("spec", {}).get("readinessGates") or ():
        condition = _condition(pod, gate["conditionType"])
        if condition.get("status") != "True":
            why = condition.get("message") or condition.get("reason") or "nobody has said yes yet"
            yield Cause(
                READINESS,
                _name("Pod", pod),
                f"the load balancer does not find it healthy: {_end(why)}",
                "`chaosctl status` shows the targets; check ingress.healthCheck and the security groups",
                _event(evidence, pod),
                pod=pod["metadata"]["name"],
            )


def budget(evidence: Evidence) -> Iterator[Cause]:
    """A disruption budget under which no pod may ever go."""
    refused = any("disruption budget" in error for error in evidence.errors)
    for found in evidence.budgets:
        status = found.get("status", {})
        expected, desired = status.get("expectedPods", 0), status.get("desiredHealthy", 0)
        never = 0 < expected <= desired
        if expected and not status.get("disruptionsAllowed", 0) and (never or refused):
            yield Cause(
                BUDGET,
                _name("PodDisruptionBudget", found),
                f"allows no disruption: {status.get('currentHealthy', 0)} of {expected} pods are healthy, "
                f"it keeps {desired}",
                "lower its minAvailable, or run more replicas, until one pod may go",
                next((_line(e) for e in _latest(evidence.events) if _is_about(e, found)), ""),
            )


Rule = Callable[[Evidence], Iterator[Cause]]
RULES: tuple[Rule, ...] = (
    webhook_down,
    aws_refuses,
    image,
    out_of_memory,
    liveness,
    crash_loop,
    unschedulable,
    readiness,
    budget,
)


def _of_container(
    pod: Object, status: Object, fault: str, reason: str, remedy: str, event: str, hopeless_after: float | None
) -> Cause:
    name = status["name"]
    return Cause(
        fault,
        f"{_name('Pod', pod)}, container {name}",
        reason,
        remedy,
        event,
        hopeless_after,
        pod["metadata"]["name"],
        name,
        previous=bool(status.get("restartCount")) and fault != READINESS,
    )


def _living(evidence: Evidence) -> list[Object]:
    """Pods that are not ready, the newest first; those that are going away do not count."""
    pods = [p for p in evidence.pods if "deletionTimestamp" not in p["metadata"] and not _ready(p)]
    return sorted(pods, key=lambda p: p["metadata"].get("creationTimestamp", ""), reverse=True)


def _containers(evidence: Evidence) -> Iterator[tuple[Object, Object]]:
    """The containers of those pods that are not ready."""
    for pod in _living(evidence):
        statuses = pod.get("status", {})
        for status in [*(statuses.get("initContainerStatuses") or ()), *(statuses.get("containerStatuses") or ())]:
            if not status.get("ready"):
                yield pod, status


def _looping(evidence: Evidence, pod: Object, status: Object) -> float | None:
    """A looping container is hopeless, unless a pod of the same kind is ready: then it may be bad luck."""
    same = [p for p in evidence.pods if _revision(p) == _revision(pod)]
    return 0.0 if status.get("restartCount", 0) >= LOOP_RESTARTS and not any(map(_ready, same)) else None


def _revision(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get("pod-template-hash", ""))


def _ready(pod: Object) -> bool:
    return bool(_condition(pod, "Ready").get("status") == "True")


def _condition(pod: Object, kind: str) -> Object:
    conditions: list[Object] = pod.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), {})


def _ended(status: Object) -> Object:
    """How a container last ended; empty when it never did."""
    for state in (status.get("state", {}), status.get("lastState", {})):
        if ended := state.get("terminated"):
            return dict(ended)
    return {}


def _spec(pod: Object, container: str) -> Object:
    spec = pod.get("spec", {})
    every: list[Object] = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return next((c for c in every if c["name"] == container), {})


def when(event: Object) -> str:
    """When an event happened last, RFC 3339."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def _latest(events: Sequence[Object]) -> list[Object]:
    return sorted(events, key=when, reverse=True)


def _event(evidence: Evidence, pod: Object, reason: str = "", containing: str = "") -> str:
    """The last event about a pod, with that reason and text when given; empty when there is none."""
    for event in _latest(evidence.events):
        if _is_about(event, pod) and reason in ("", event.get("reason")) and containing in event.get("message", ""):
            return _line(event)
    return ""


def _is_about(event: Object, obj: Object) -> bool:
    subject, meta = event["involvedObject"], obj["metadata"]
    same = subject.get("uid") == meta.get("uid") if subject.get("uid") and meta.get("uid") else True
    return same and subject.get("name") == meta["name"]


def _about(event: Object) -> str:
    subject = event["involvedObject"]
    return f"{subject.get('kind', '')} {subject.get('namespace', '')}/{subject.get('name', '')}"


def _name(kind: str, obj: Object) -> str:
    return f"{kind} {obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def _line(event: Object) -> str:
    return f"{event.get('reason', '')}: {' '.join(event.get('message', '').split())}"


def _end(text: str) -> str:
    """One line, and not more of it than a person reads: Go's errors have the subject first and the reason last."""
    line = " ".join(text.split())
    return line if len(line) <= 320 else f"{line[:120]} ... {line[-190:]}"
