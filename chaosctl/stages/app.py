"""The stage that installs the app, and waits until users reach every pod of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaosctl.adapters import elb
from chaosctl.adapters.follow import Follow
from chaosctl.adapters.kube import AUTOSCALERS, DEPLOYMENTS, INGRESSES, PODS, TARGET_GROUP_BINDINGS, Kube
from chaosctl.adapters.pod import Pod
from chaosctl.config import Settings
from chaosctl.errors import StageFailed
from chaosctl.events import Step
from chaosctl.stages import certificate, controller, entrance, naming
from chaosctl.stages.access import Access
from chaosctl.stages.controller import tags
from chaosctl.stages.readiness import Outlook, last_events, restart, selector_of, wait_for_rollout
from chaosctl.stages.release import Installed, converge
from chaosctl.stages.rollback import Revisions
from chaosctl.stages.stage import Context, StageResult
from chaosctl.waiting import TimedOut, wait_until

IMAGE, TAG = "docker.io/lucasscrt/chaotic-backend", "latest"
GATE_LABEL = "elbv2.k8s.aws/pod-readiness-gate-inject"
GATE_PREFIX = "target-health.elbv2.k8s.aws/"
FAILED_SECONDS = 4.0  # for which a load balancer has to be failed until that counts: the lab tries again by itself
BINDING_SECONDS = 120.0
ASK_SECONDS = 0.5  # between two requests for the targets' health: AWS can be asked only, not watched


@dataclass(frozen=True)
class App:
    """Installs the app behind its load balancer."""

    name: str = "app"

    def describe(self) -> str:
        """What it is going to do."""
        return "install the app, until every pod is ready and every target healthy"

    def run(self, context: Context) -> StageResult:
        """Namespace, release, readiness gates, pods and targets: in that order. What fails after another revision
        has served is rolled back to that (ROLLED-BACK)."""
        access, settings = Access(context), context.settings
        kube, namespace, release = access.kube, settings.namespace, settings.release
        arn = certificate.require(context, access.aws)
        kube.apply(_namespace(namespace))
        before = entrance.host_of(kube.get(INGRESSES, release, namespace))
        reachable = _Reachable(access, namespace, release)
        revisions = Revisions(access.helm, kube, namespace, release, reachable, context.emit)
        revisions.look()
        try:
            installed, regated, pods = _deploy(access, context, values(context, arn), revisions.served(), reachable)
        except StageFailed as error:
            raise revisions.roll_back(error) from error.__cause__
        revisions.serves(installed.release.revision)
        url = entrance.require_url(kube, namespace, release)
        named = _named(access, context, before)
        return StageResult(
            installed.changed or regated or named,
            f"{len(pods)} pods ready, {len(pods)} targets healthy: {url}",
            {"release": release, "revision": installed.release.revision, "pods": len(pods), "url": url},
        )


def _deploy(
    access: Access,
    context: Context,
    wanted: Mapping[str, Any],
    served: int | None,
    reachable: Callable[[list[Pod]], str],
) -> tuple[Installed, bool, list[Pod]]:
    """What was installed, whether pods had to be replaced for their gate, and the pods that users reach."""
    kube, settings, emit = access.kube, context.settings, context.emit
    namespace, release = settings.namespace, settings.release
    chart = context.target.charts[release]
    installed = converge(access.helm, kube, release, namespace, chart, wanted, emit, good=served)
    deadline = time.monotonic() + settings.app.timeout_seconds
    possible = _Possible(access, settings.cluster_name)
    _wait_for_binding(kube, context, possible)
    _scale_to_minimum(kube, namespace, release)
    regated = _require_gates(kube, context, possible, first=served is None)
    pods = wait_for_rollout(
        kube,
        namespace,
        release,
        timeout=max(1.0, deadline - time.monotonic()),
        emit=emit,
        also=reachable,
        meanwhile=possible,
    )
    return installed, regated, pods


def chart_values(settings: Settings, *values: Path) -> tuple[Path | Mapping[str, Any], ...]:
    """The app's Helm values: the target's files that there are, the mirror's image, and the user's own file on top."""
    own = (settings.app.values,) if settings.app.values else ()
    return (*(file for file in values if file.exists()), *controller.mirrored(settings.mirrors, IMAGE), *own)


def values(context: Context, certificate_arn: str) -> Mapping[str, Any]:
    """Helm values that come from the settings; the target's own files are below them."""
    settings = context.settings
    ingress: dict[str, Any] = {"inboundCidrs": list(settings.app.inbound_cidrs), "tags": tags(context)}
    if certificate_arn:
        ingress |= {
            "host": settings.tls.domain,
            "certificateArn": certificate_arn,
            "sslPolicy": settings.tls.policy,
            "hstsSeconds": settings.tls.hsts_seconds,
        }
    # Names only: a value would be in the release, in the pods' specification, and in whatever shows either.
    return {"ingress": ingress, "secrets": dict(settings.app.secrets)}


def _named(access: Access, context: Context, before: str) -> bool:
    """Make the domain lead to the load balancer, and the one of `before` no more; True when that changed anything."""
    settings = context.settings
    domain = settings.tls.domain if settings.tls.on else ""
    removed = before not in ("", domain) and naming.remove(context, access.aws, before)
    if not domain:
        return removed
    ingress = access.kube.get(INGRESSES, settings.release, settings.namespace)
    found = entrance.entrance(access.aws, ingress) if ingress else None
    return bool(found and naming.point(context, access.aws, found.balancer)) or removed


def _namespace(name: str) -> dict[str, Any]:
    labels = {
        GATE_LABEL: "enabled",
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _scale_to_minimum(kube: Kube, namespace: str, release: str) -> None:
    """Begin with as many pods as the HPA wants at least. It would do the same, up to 15 s later."""
    scaler, deployment = kube.get(AUTOSCALERS, release, namespace), kube.get(DEPLOYMENTS, release, namespace)
    if (
        scaler
        and deployment
        and deployment["spec"].get("replicas", 1) < (least := scaler["spec"].get("minReplicas", 1))
    ):
        kube.patch(DEPLOYMENTS, f"{release}/scale", {"spec": {"replicas": least}}, namespace)


class _Reachable:
    """Says whether the load balancer sends traffic to all pods. Asks AWS at most twice a second."""

    def __init__(self, access: Access, namespace: str, release: str) -> None:
        self._access, self._namespace, self._release = access, namespace, release
        self._asked, self._said = 0.0, ""

    def __call__(self, pods: list[Pod]) -> str:
        if self._said and time.monotonic() - self._asked < ASK_SECONDS:
            return self._said
        ingress = self._access.kube.get(INGRESSES, self._release, self._namespace)
        aws = self._access.aws
        found = entrance.entrance(aws, ingress) if ingress else None
        said = entrance.lacks(found, pods)
        if found and ingress and not said:
            said = entrance.unserved(ingress, elb.listeners(aws, found.balancer))
        self._said, self._asked = said, time.monotonic()
        return said


class _Possible:
    """Ends the waiting when AWS says that the load balancer cannot be made, and goes on saying so."""

    def __init__(self, access: Access, cluster: str) -> None:
        self._access, self._cluster = access, cluster
        self._asked, self._failed_since = 0.0, 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._asked < 2 * ASK_SECONDS:
            return
        self._asked = now
        failed = next((lb for lb in elb.load_balancers(self._access.aws, self._cluster) if lb.state == "failed"), None)
        if failed is None:
            self._failed_since = 0.0
            return
        self._failed_since = self._failed_since or now
        if now - self._failed_since >= FAILED_SECONDS:
            raise StageFailed(
                f"the load balancer {failed.name} cannot be made",
                code="LB-FAILED",
                why=failed.reason or "AWS does not say why",
                remedy="remove the cause, then run the same command again: it carries on",
            )


def _require_gates(kube: Kube, context: Context, possible: Callable[[], None] = lambda: None, *, first: bool) -> bool:
    """Replace pods that lack the readiness gate of the load balancer; True when there were any.

    The controller adds it only while a pod is created, and only once the TargetGroupBinding exists. On a first install
    the Ingress comes after the Deployment, so its pods lack it. Nobody uses them yet: they go all at once then.
    """
    settings = context.settings
    namespace, release = settings.namespace, settings.release
    ungated = [p for p in _pods(kube, namespace, release) if not _gated(p)]
    if not ungated:
        return False
    context.emit(Step(f"{len(ungated)} pods were created before their readiness gate: replacing them once"))
    if first:
        for pod in ungated:
            kube.delete(PODS, pod.name, namespace, uid=pod.uid, grace=1)
    else:
        restart(kube, namespace, release, datetime.now(UTC).isoformat(timespec="seconds"))
        timeout = settings.app.timeout_seconds
        wait_for_rollout(kube, namespace, release, timeout=timeout, emit=context.emit, meanwhile=possible)
    _check_gates(kube, context)
    return True


def _check_gates(kube: Kube, context: Context) -> None:
    """All pods have it by now, or the webhook does not do its part."""
    namespace, release = context.settings.namespace, context.settings.release

    def gated() -> tuple[bool, str]:
        pods = _pods(kube, namespace, release)
        without = [p.name for p in pods if not _gated(p)]
        return bool(pods) and not without, ", ".join(without) or "no pods yet"

    try:
        wait_until(gated, "pods with a readiness gate", timeout=30, emit=context.emit)
    except TimedOut as late:
        raise StageFailed(
            "pods get no readiness gate from the load balancer controller",
            code="READINESS-GATE-MISSING",
            why=late.detail,
            remedy="run `chaosctl controller`; without the gate a rollout can drop requests",
        ) from None


def _gated(pod: Pod) -> bool:
    return any(gate.startswith(GATE_PREFIX) for gate in pod.gates)


def _pods(kube: Kube, namespace: str, release: str) -> list[Pod]:
    deployment = kube.get(DEPLOYMENTS, release, namespace)
    return [p for p in kube.pods(namespace, selector_of(deployment)) if not p.deleting] if deployment else []


def _wait_for_binding(kube: Kube, context: Context, possible: Callable[[], None]) -> None:
    """The controller has understood the Ingress when a TargetGroupBinding for its Service is there."""
    namespace, release = context.settings.namespace, context.settings.release
    outlook = Outlook(kube, namespace, release)
    with Follow(kube, TARGET_GROUP_BINDINGS, namespace) as bindings:

        def bound() -> tuple[bool, str]:
            possible()
            there = any(b["spec"]["serviceRef"]["name"] == release for b in bindings.objects())
            if not there and (cause := outlook.hopeless(())):
                raise StageFailed(
                    f"the Ingress {namespace}/{release} gets no load balancer: {cause.fault}",
                    code="INGRESS-NOT-RECONCILED",
                    why="\n".join(cause.lines()),
                    remedy=f"{cause.remedy}; then run the same command again",
                )
            return there, ""

        try:
            wait_until(bound, "the load balancer to be made", timeout=BINDING_SECONDS, emit=context.emit, interval=0.1)
        except TimedOut as late:
            raise StageFailed(
                f"the Ingress {namespace}/{release} got no load balancer within {late.seconds:.0f} s",
                code="INGRESS-NOT-RECONCILED",
                why="\n".join(last_events(kube, namespace, release)) or "the controller has not said why",
                remedy="look at `kubectl -n kube-system logs deployment/aws-load-balancer-controller`",
            ) from None
