"""`down`: remove everything in the order that lets nothing hang, then prove that nothing is left."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from chaosctl.adapters import elb, inventory
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.inventory import Leftover
from chaosctl.adapters.kube import (
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    GATEWAYS,
    INGRESSES,
    NAMESPACES,
    SERVICES,
    TARGET_GROUP_BINDINGS,
    Kube,
    NotFound,
    Object,
    Resource,
)
from chaosctl.adapters.terraform import TerraformFailed
from chaosctl.errors import ChaosctlError, LeftoversFound, PreconditionFailed, StageFailed, Unreachable
from chaosctl.events import Emit, Step, Warned
from chaosctl.stages import alarms, autoscaler, controller, entrance, kubeconfig, naming, running
from chaosctl.stages.access import Access
from chaosctl.stages.infra import deployment, destroy_infra, forget
from chaosctl.stages.stage import Context, Stage, StageResult
from chaosctl.stages.sweep import sweep
from chaosctl.waiting import wait_until

STALL_SECONDS = 120.0  # without any progress; a security group waits up to two minutes for its last interface
DEAD_SECONDS = 10.0  # without a pod of the controller; one that is only replaced is back by then
SETTLE_SECONDS, LAG_SECONDS = 60.0, 6.0  # for AWS to show that the last things are gone
WEBHOOKS = [
    Resource("admissionregistration.k8s.io", "v1", f"{kind}webhookconfigurations", namespaced=False)
    for kind in ("validating", "mutating")
]
ATTRIBUTES = {  # annotations of Ingresses and Services that have the attributes of their load balancers
    "alb.ingress.kubernetes.io/load-balancer-attributes",
    "service.beta.kubernetes.io/aws-load-balancer-attributes",
}
PROTECTED = re.compile(rf"({re.escape(elb.PROTECTION)}\s*=\s*)true")
WEBHOOK_CONFIGURATION = "aws-load-balancer-webhook"  # in the real chart and in the lab's
LAST_RESORT = "as a last resort what the controller made is deleted through the AWS API"


def stages() -> list[Stage]:
    """The steps of `down`, in order. Each does nothing when its part is gone already."""
    return [Watching(), Balancers(), Releases(), Cloud(), UserKubeconfig(), Proof()]


def run(context: Context) -> StageResult:
    """Remove everything. Raises LeftoversFound with a list when something is left; running it again is fine."""
    results = running.run(stages(), context)
    forget(context.workdir)
    context.target.release()
    changed = any(r.changed for r in results.values())
    return StageResult(changed, "nothing is left" if changed else "there was nothing to remove", {"left": []})


def _live_kube(context: Context) -> Kube | None:
    """The cluster's API, or None when there is no cluster or it does not answer or let us in."""
    try:
        access = Access(context)
        if access.aws.cluster(context.settings.cluster_name) is None:
            return None
        access.kube.list(NAMESPACES)
        return access.kube
    except (PreconditionFailed, Unreachable) as error:
        context.emit(Warned(f"the cluster cannot be asked ({error.why or error.what})", LAST_RESORT))
        return None


@dataclass(frozen=True)
class Watching:
    """Removes alarms and dashboard."""

    name: str = "alarms"

    def describe(self) -> str:
        """What it is going to do."""
        return "remove the alarms, before there is anything to tell"

    def run(self, context: Context) -> StageResult:
        """See stages/alarms.py. What it cannot remove the proof finds."""
        return alarms.remove(context)


@dataclass(frozen=True)
class Balancers:
    """Removes load balancers first: the network cannot be deleted while they stand in it."""

    name: str = "balancers"

    def describe(self) -> str:
        """What it is going to do."""
        return "remove Ingresses and load balancers while their controller is alive"

    def run(self, context: Context) -> StageResult:
        """Delete what the controller acts upon, wait until it has done so, else do it in its place."""
        kube, aws = _live_kube(context), Access(context).aws
        name = context.settings.cluster_name
        unnamed = naming.remove(context, aws, context.settings.tls.domain, _host(kube, context))
        asked = bool(kube and _entries(kube))
        if not asked and not _made(aws, name):
            return StageResult(unnamed, "no load balancers")
        served = bool(kube and (_serves(kube) or (_made(aws, name) and _revive(context))))
        if kube:
            _unprotect(kube, aws, context)
            _ask(kube, context.emit)
            if served:
                _wait_for_controller(kube, aws, context)
        _in_its_place(kube, aws, context)
        return StageResult(True, "load balancers are gone")


def _host(kube: Kube | None, context: Context) -> str:
    """The domain that the app has, whatever the settings say by now."""
    settings = context.settings
    return entrance.host_of(kube.get(INGRESSES, settings.release, settings.namespace)) if kube else ""


def _serves(kube: Kube) -> bool:
    """Whether a pod of the controller is there to do the work."""
    deployment = kube.get(DEPLOYMENTS, controller.RELEASE, controller.NAMESPACE) or {}
    return bool(deployment.get("status", {}).get("availableReplicas"))


def _revive(context: Context) -> bool:
    """Install the controller again, which knows best how to remove what it made; whether it serves then."""
    context.emit(Warned("the load balancer controller does not run", "it is installed again for its last work"))
    try:
        controller.Controller().run(context)
    except ChaosctlError as error:
        context.emit(Warned(f"the controller cannot be installed again: {error}", LAST_RESORT))
        return False
    return True


def _unprotect(kube: Kube, aws: Aws, context: Context) -> None:
    """Deletion protection off: with it the controller leaves a load balancer and what it was made for.

    First where it is wished for, or the controller would switch it on again.
    """
    for resource, obj in _entries(kube):
        meta = obj["metadata"]
        wished = {name: text for name, text in (meta.get("annotations") or {}).items() if name in ATTRIBUTES}
        changed = {name: new for name, text in wished.items() if (new := PROTECTED.sub(r"\1false", text)) != text}
        if changed:
            context.emit(
                Step(f"{meta['namespace']}/{meta['name']}: taking off the load balancer's deletion protection")
            )
            with suppress(StageFailed, Unreachable):  # its webhook is silent: then nobody switches it on again either
                kube.patch(resource, meta["name"], {"metadata": {"annotations": changed}}, meta["namespace"])
    for balancer in elb.load_balancers(aws, context.settings.cluster_name):
        if elb.unprotect(aws, balancer.arn):
            context.emit(Step(f"load balancer {balancer.name}: deletion protection is off"))


def _ask(kube: Kube, emit: Emit) -> int:
    """Delete what load balancers are made for, in every namespace; how many there were."""
    entries = _entries(kube)
    for resource, obj in entries:
        meta = obj["metadata"]
        kube.delete(resource, meta["name"], meta["namespace"], uid=meta["uid"])
        emit(Step(f"deleted {obj.get('kind', resource.plural)} {meta['namespace']}/{meta['name']}"))
    return len(entries)


def _entries(kube: Kube) -> list[tuple[Resource, Object]]:
    services = [s for s in kube.list(SERVICES) if s["spec"].get("type") == "LoadBalancer"]
    return [
        *((INGRESSES, o) for o in kube.list(INGRESSES)),
        *((SERVICES, o) for o in services),
        *((GATEWAYS, o) for o in kube.list(GATEWAYS)),
        # Those of an Ingress or a Gateway go with it; those that somebody wrote by hand would keep their targets.
        *((TARGET_GROUP_BINDINGS, o) for o in kube.list(TARGET_GROUP_BINDINGS) if not _owned(o)),
    ]


def _owned(obj: Object) -> bool:
    return any(
        label.startswith(("ingress.k8s.aws/", "gateway.k8s.aws/")) for label in obj["metadata"].get("labels") or {}
    )


def _made(aws: Aws, cluster: str) -> list[Leftover]:
    """What the controller made in AWS and has not removed yet, in the order in which it can be deleted."""
    return [
        *(Leftover("load balancer", lb.arn) for lb in elb.load_balancers(aws, cluster)),
        *(Leftover("target group", arn) for arn in elb.target_groups(aws, cluster)),
        *(Leftover("security group", group) for group in elb.security_groups(aws, cluster)),
    ]


def _wait_for_controller(kube: Kube, aws: Aws, context: Context) -> None:
    """Until its finalizers are gone and AWS shows nothing, or it gets no further: it died, or cannot."""
    seen, since, dead_since = "", time.monotonic(), math.inf

    def ended() -> tuple[str, str]:
        nonlocal seen, since, dead_since
        left, now = _left(kube, aws, context), time.monotonic()
        if left != seen:
            seen, since = left, now
        dead_since = math.inf if _serves(kube) else min(dead_since, now)
        stuck = now - since > STALL_SECONDS or now - dead_since > DEAD_SECONDS
        return "stuck" if left and stuck else "" if left else "gone", left

    how = wait_until(
        ended, "the controller to remove its load balancers", timeout=math.inf, emit=context.emit, interval=0.5
    )
    if how == "stuck":
        context.emit(Warned(f"the controller does not remove everything: {seen}", LAST_RESORT))


def _left(kube: Kube, aws: Aws, context: Context) -> str:
    """What the controller has still to do, in words; empty when it is done."""
    waiting = [f"{o['metadata']['namespace']}/{o['metadata']['name']}" for _, o in _entries(kube) if _held(o)]
    made = [f"{item.kind} {item.id}" for item in _made(aws, context.settings.cluster_name)]
    return ", ".join([*waiting, *made])[:200]


def _held(obj: Object) -> bool:
    """Whether a controller of load balancers wants to do something before the object goes; others do not count."""
    finalizers = obj["metadata"].get("finalizers") or ()
    return any("k8s.aws/" in f or f == "service.kubernetes.io/load-balancer-cleanup" for f in finalizers)


def _in_its_place(kube: Kube | None, aws: Aws, context: Context) -> None:
    """Delete by tag what is left, then take the finalizers off, or the namespace would wait for ever."""
    sweep(lambda: _made(aws, context.settings.cluster_name), aws, context.emit)
    stuck = _entries(kube) if kube else []
    if not kube or not stuck:
        return
    for webhooks in WEBHOOKS:  # they would be asked about the change, and nobody answers
        kube.delete(webhooks, WEBHOOK_CONFIGURATION)
    for resource, obj in stuck:
        meta = obj["metadata"]
        if finalizers := meta.get("finalizers"):
            context.emit(Step(f"{meta['namespace']}/{meta['name']}: taking off {', '.join(finalizers)}"))
            with suppress(NotFound):
                kube.patch(resource, meta["name"], {"metadata": {"finalizers": None}}, meta["namespace"])


@dataclass(frozen=True)
class Releases:
    """Uninstalls what adds nodes, the app, then the controller that served it."""

    name: str = "releases"

    def describe(self) -> str:
        """What it is going to do."""
        return "uninstall the app, then the controller"

    def run(self, context: Context) -> StageResult:
        """Helm releases, namespace, disruption budgets. Without a cluster that answers there is nothing to do.

        What cannot be uninstalled goes with the cluster: it is only told.
        """
        if _live_kube(context) is None:
            return StageResult(False, "no cluster to uninstall from")
        access, settings = Access(context), context.settings
        changed = [
            # First: whatever waits for room while all else goes must not bring a node back.
            _tolerated(context, lambda: _uninstall_autoscaler(access)),
            _tolerated(context, lambda: access.helm.uninstall(settings.release, settings.namespace)),
            _tolerated(context, lambda: _delete_namespace(access.kube, settings.namespace)),
            _tolerated(context, lambda: access.helm.uninstall(controller.RELEASE, controller.NAMESPACE)),
            _tolerated(context, lambda: _delete_budgets(access.kube)),
        ]
        return StageResult(
            any(changed), "app and controller are uninstalled" if any(changed) else "nothing was installed"
        )


def _tolerated(context: Context, remove: Callable[[], bool]) -> bool:
    try:
        return remove()
    except (StageFailed, Unreachable) as error:
        context.emit(Warned(f"left to the removal of the cluster: {error}"))
        return False


def _uninstall_autoscaler(access: Access) -> bool:
    """Helm is asked only when it is there: most deployments have none."""
    there = access.kube.get(DEPLOYMENTS, autoscaler.RELEASE, autoscaler.NAMESPACE) is not None
    return there and autoscaler.remove(access)


def _delete_budgets(kube: Kube) -> bool:
    """A budget that allows no disruption keeps EKS from draining a node for a quarter of an hour."""
    budgets = [o["metadata"] for o in kube.list(DISRUPTION_BUDGETS)]
    for meta in budgets:
        kube.delete(DISRUPTION_BUDGETS, meta["name"], meta["namespace"])
    return bool(budgets)


def _delete_namespace(kube: Kube, name: str) -> bool:
    """Ask for it; the cluster goes next, so nobody waits for the last pod."""
    try:
        return kube.delete(NAMESPACES, name)
    except NotFound:
        return False


@dataclass(frozen=True)
class Cloud:
    """Destroys what Terraform made."""

    name: str = "infra"

    def describe(self) -> str:
        """What it is going to do."""
        return "destroy what Terraform made"

    def run(self, context: Context) -> StageResult:
        """terraform destroy. Where it fails, the sweep that follows tries, and says what stays."""
        try:
            went = destroy_infra(context)
        except TerraformFailed as error:
            context.emit(Warned(str(error), "what it left is deleted through the AWS API"))
            return StageResult(True, "Terraform failed")
        return StageResult(bool(went), str(went) if went else "Terraform had made nothing")


@dataclass(frozen=True)
class UserKubeconfig:
    """Takes our entry out of the user's kubeconfig."""

    name: str = "kubeconfig"

    def describe(self) -> str:
        """What it is going to do."""
        return "take our entry out of the kubeconfig"

    def run(self, context: Context) -> StageResult:
        """Remove the entry, and the program's own file with its token."""
        removed = kubeconfig.remove(context)
        for path in (context.kubeconfig, context.token):
            path.unlink(missing_ok=True)
        return StageResult(removed, "the entry is removed" if removed else "there was no entry")


@dataclass(frozen=True)
class Proof:
    """Sweeps what AWS itself left, and looks whether anything else is there."""

    name: str = "proof"

    def describe(self) -> str:
        """What it is going to do."""
        return "look through the AWS API whether anything is left"

    def run(self, context: Context) -> StageResult:
        """Raises LeftoversFound when something is."""
        aws = Access(context).aws

        def look() -> list[Leftover]:
            return [*inventory.leftovers(aws, deployment(context)), *naming.leftovers(context, aws)]

        swept, left = sweep(look, aws, context.emit)
        still = {item.id for item in _settled(look)} if left else set()
        left = [item for item in left if item.id in still]
        if left:
            raise LeftoversFound(
                f"{len(left)} things are left of this deployment",
                code="LEFTOVERS",
                why="\n".join(f"{item.kind}: {item.id}" + (f" ({item.why})" if item.why else "") for item in left),
                remedy="run `chaosctl down` again; delete what stays with the AWS command line",
            )
        return StageResult(bool(swept), "nothing is left")


def _settled(look: Callable[[], list[Leftover]]) -> list[Leftover]:
    """Look until nothing is left, or until what is left has not changed for some seconds."""
    seen = look()
    since, started = time.monotonic(), time.monotonic()
    while seen and time.monotonic() - since < LAG_SECONDS and time.monotonic() - started < SETTLE_SECONDS:
        time.sleep(2)
        now = look()
        if now != seen:
            seen, since = now, time.monotonic()
    return seen


def remains(context: Context) -> list[Leftover]:
    """What exists in AWS of this deployment at the moment, for `status`."""
    try:
        return inventory.leftovers(Access(context).aws, deployment(context))
    except ChaosctlError as error:
        return [Leftover("unknown", error.what, error.why)]
