"""Waiting for pods, and saying why they are not ready."""

from __future__ import annotations

from collections.abc import Callable

from chaosctl.adapters.follow import Follow
from chaosctl.adapters.kube import DEPLOYMENTS, EVENTS, PODS, Kube, Object
from chaosctl.adapters.pod import Pod
from chaosctl.errors import StageFailed, Unreachable
from chaosctl.events import Emit
from chaosctl.waiting import TimedOut, wait_until

LOG_LINES = 5
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
    Returns the pods. Raises StageFailed (NOT-READY) after `timeout` seconds, with what is missing and why.
    """
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
            return (None, lacks) if lacks else (live, "")

        try:
            return wait_until(check, f"{name} to be ready", timeout=timeout, emit=emit, interval=0.1)
        except TimedOut as late:
            live = [p for p in map(Pod.of, pods.objects()) if not p.deleting]
            raise not_ready(kube, namespace, name, live, late) from None


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


def not_ready(kube: Kube, namespace: str, name: str, pods: list[Pod], late: TimedOut) -> StageFailed:
    """The error that says which object is not ready, why, and what it last said."""
    worst = next((p for p in pods if not p.ready), None)
    lines = [late.detail]
    if worst:
        lines += [f"pod {worst.name}: {worst.trouble or worst.phase}"]
        lines += last_events(kube, namespace, worst.name)
        lines += [f"log: {line}" for line in _last_words(kube, worst)]
    else:
        lines += last_events(kube, namespace, name)
    return StageFailed(
        f"{namespace}/{name} is not ready after {late.seconds:.0f} s",
        code="NOT-READY",
        why="\n".join(line for line in lines if line),
        remedy="correct what it says and run the same command again; app.timeout_seconds sets how long to wait",
    )


def last_events(kube: Kube, namespace: str, name: str, count: int = 3) -> list[str]:
    """The latest events about an object, oldest first, one line each."""
    events = kube.list(EVENTS, namespace, fields=f"involvedObject.name={name}")
    events.sort(key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")
    return [f"event: {e.get('reason', '')}: {e.get('message', '')}" for e in events[-count:]]


def _last_words(kube: Kube, pod: Pod) -> list[str]:
    for container in pod.containers:
        if not container.ready:
            text = kube.logs(pod, container.name, lines=LOG_LINES)
            if not text and container.restarts:
                text = kube.logs(pod, container.name, lines=LOG_LINES, previous=True)
            return text.splitlines()
    return []


def restart(kube: Kube, namespace: str, name: str, now: str) -> None:
    """Replace all pods of a Deployment, gently, as `kubectl rollout restart` does. `now` is RFC 3339."""
    change = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}}
    kube.patch(DEPLOYMENTS, name, change, namespace)
