"""Waiting for pods, and saying why they are not ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chaosctl.adapters.follow import Follow
from chaosctl.adapters.kube import DEPLOYMENTS, DISRUPTION_BUDGETS, EVENTS, PODS, Kube, Object
from chaosctl.adapters.pod import Pod
from chaosctl.errors import ChaosctlError, StageFailed, Unreachable
from chaosctl.events import Emit
from chaosctl.stages.diagnosis import Cause, Evidence, causes, when
from chaosctl.waiting import TimedOut, wait_until

LOG_LINES = 5
LOOK_SECONDS = 2.0  # between two looks for a reason why waiting is pointless
EVENT_SLACK = timedelta(seconds=5)  # clocks differ, and events have whole seconds
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"  # the annotation that `kubectl rollout restart` sets
GONE_SECONDS = 30.0  # so long a broken watch may try to reconnect before it is an error


def rolled_out(deployment: Object) -> str:
    """What a Deployment still lacks, in words; empty when all its pods are new and available."""
    spec, status = deployment["spec"], deployment.get("status", {})
    wanted = spec.get("replicas", 1)
    if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return "not seen by its controller yet"
    if (updated := status.get("updatedReplicas", 0)) < wanted:
        return f"{updated} of {wanted} pods updated"
    if (old := status.get("replicas", 0)) > updated:
        return f"{old - updated} old pods still there"
    if (available := status.get("availableReplicas", 0)) < wanted:
        return f"{available} of {wanted} pods ready"
    return ""


def selector_of(deployment: Object) -> str:
    """The label selector of its pods, as the API takes it."""
    return ",".join(f"{k}={v}" for k, v in deployment["spec"]["selector"]["matchLabels"].items())


def wait_for_rollout(
    kube: Kube,
    namespace: str,
    name: str,
    *,
    timeout: float,
    emit: Emit,
    also: Callable[[list[Pod]], str] = lambda pods: "",
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Pod]:
    """Wait until all pods of a Deployment are new and ready, and `also(pods)` has nothing more to say.

    `meanwhile` is called all the time; it raises when waiting is in vain.
    Returns the pods. Raises StageFailed (NOT-READY) with what is missing and why: after `timeout` seconds, or as soon
    as it is plain that waiting does not help.
    """
    outlook = Outlook(kube, namespace, name)
    with (
        Follow(kube, DEPLOYMENTS, namespace, fields=f"metadata.name={name}") as deployments,
        Follow(kube, PODS, namespace, labels=_selector(kube, namespace, name)) as pods,
    ):

        def check() -> tuple[list[Pod] | None, str]:
            _still_connected(deployments, pods)
            meanwhile()
            live = [p for p in map(Pod.of, pods.objects()) if not p.deleting]
            found = deployments.objects()
            lacks = (rolled_out(found[0]) or lacks_pods(found[0], live)) if found else "the Deployment is gone"
            lacks = lacks or also(live)
            if lacks and (cause := outlook.hopeless(pods.objects(), found)):
                raise _failed(kube, namespace, name, f"is not ready: {cause.fault}", [lacks], cause)
            return (None, lacks) if lacks else (live, "")

        try:
            return wait_until(check, f"{name} to be ready", timeout=timeout, emit=emit, interval=0.1)
        except TimedOut as late:
            raise not_ready(kube, namespace, name, pods.objects(), late, since=outlook.since) from None


class Outlook:
    """Whether waiting for a Deployment still makes sense. `since`: events from before do not count."""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self._kube, self._namespace, self._name = kube, namespace, name
        self.since = datetime.now(UTC) - EVENT_SLACK
        self._looked = time.monotonic()
        self._seen: dict[tuple[str, str], float] = {}

    def hopeless(self, pods: Sequence[Object], deployments: Sequence[Object] = ()) -> Cause | None:
        """A cause that has lasted long enough, or None. Asks the API at most every two seconds."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return None
        self._looked = now
        try:
            evidence = gather(self._kube, self._namespace, pods, deployments, since=self.since)
        except ChaosctlError:
            return None  # whoever waits finds out by themselves what is wrong with the API
        found = {(c.fault, c.container or c.object): c for c in reversed(causes(evidence))}
        self._seen = {key: self._seen.get(key, now) for key in found}
        ripe = [key for key, c in found.items() if c.hopeless_after is not None and self._age(key) >= c.hopeless_after]
        return found[ripe[-1]] if ripe else None

    def _age(self, key: tuple[str, str]) -> float:
        return time.monotonic() - self._seen[key]


def gather(
    kube: Kube, namespace: str, pods: Sequence[Object], deployments: Sequence[Object] = (), *, since: datetime
) -> Evidence:
    """Evidence about a Deployment's pods, of events only those from `since` on."""
    earliest = since.strftime("%Y-%m-%dT%H:%M:%S")
    return Evidence(
        pods=pods,
        events=[e for e in kube.list(EVENTS, namespace) if when(e) >= earliest],
        budgets=kube.list(DISRUPTION_BUDGETS, namespace),
        deployment=next(iter(deployments), None),
    )


def lacks_pods(deployment: Object, live: list[Pod]) -> str:
    """As `rolled_out`, by the pods themselves: the Deployment's own count is older than they are."""
    wanted, ready = deployment["spec"].get("replicas", 1), sum(p.ready for p in live)
    return "" if ready >= wanted and ready == len(live) else f"{ready} of {max(wanted, len(live))} pods ready"


def _still_connected(*followed: Follow) -> None:
    for follow in followed:
        if isinstance(follow.broken, Unreachable) and follow.broken_seconds > GONE_SECONDS:
            raise follow.broken


def _selector(kube: Kube, namespace: str, name: str) -> str:
    deployment = kube.get(DEPLOYMENTS, name, namespace)
    if deployment is None:
        raise StageFailed(
            f"the Deployment {namespace}/{name} does not exist",
            code="DEPLOYMENT-MISSING",
            why="the chart was installed, but made none of that name",
            remedy="look at it with `helm get manifest`",
        )
    return selector_of(deployment)


def not_ready(
    kube: Kube, namespace: str, name: str, pods: Sequence[Object], late: TimedOut, *, since: datetime
) -> StageFailed:
    """The error that says which object is not ready, why, and what it last said."""
    found = causes(gather(kube, namespace, pods, since=since))
    after = f"is not ready after {late.seconds:.0f} s"
    if found:
        return _failed(kube, namespace, name, f"{after}: {found[0].fault}", [late.detail], found[0])
    return _failed(kube, namespace, name, after, [late.detail, *_unrecognised(kube, namespace, name, pods)])


def _failed(
    kube: Kube, namespace: str, name: str, how: str, lines: Sequence[str], cause: Cause | None = None
) -> StageFailed:
    remedy = "correct what it says and run the same command again; app.timeout_seconds sets how long to wait"
    if cause:
        lines = [*lines, *replace(cause, log=tuple(_last_words(kube, namespace, cause))).lines()]
        remedy = f"{cause.remedy}; then run the same command again"
    return StageFailed(f"{namespace}/{name} {how}", code="NOT-READY", why="\n".join(filter(None, lines)), remedy=remedy)


def _unrecognised(kube: Kube, namespace: str, name: str, pods: Sequence[Object]) -> list[str]:
    """What can be said when no rule knows the fault."""
    worst = next((p for p in map(Pod.of, pods) if not p.ready and not p.deleting), None)
    if worst is None:
        return last_events(kube, namespace, name)
    said = kube.logs(worst, lines=LOG_LINES).splitlines()
    events = last_events(kube, namespace, worst.name)
    return [f"pod {worst.name}: {worst.trouble or worst.phase}", *events, *(f"log: {line}" for line in said)]


def last_events(kube: Kube, namespace: str, name: str, count: int = 3) -> list[str]:
    """The latest events about an object, oldest first, one line each."""
    events = kube.list(EVENTS, namespace, fields=f"involvedObject.name={name}")
    events.sort(key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")
    return [f"event: {e.get('reason', '')}: {e.get('message', '')}" for e in events[-count:]]


def _last_words(kube: Kube, namespace: str, cause: Cause) -> list[str]:
    """The end of the log of the container that is to blame: of its last life when this one has said nothing."""
    if not cause.container:
        return []
    pod = Pod(cause.pod, namespace, "", "", False, False)
    text = kube.logs(pod, cause.container, lines=LOG_LINES)
    if not text and cause.previous:
        text = kube.logs(pod, cause.container, lines=LOG_LINES, previous=True)
    return text.splitlines()


def restart(kube: Kube, namespace: str, name: str, now: str) -> None:
    """Replace all pods of a Deployment, gently, as `kubectl rollout restart` does. `now` is RFC 3339."""
    change = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}}
    kube.patch(DEPLOYMENTS, name, change, namespace)
