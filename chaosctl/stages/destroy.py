"""`down`: remove everything in the order that lets nothing hang, then prove that nothing is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chaosctl.adapters import elb, inventory
from chaosctl.adapters.aws import Aws, AwsRefused
from chaosctl.adapters.inventory import Deployment, Leftover
from chaosctl.adapters.kube import (
    INGRESSES,
    NAMESPACES,
    SERVICES,
    TARGET_GROUP_BINDINGS,
    Kube,
    NotFound,
    Object,
    Resource,
)
from chaosctl.errors import ChaosctlError, LeftoversFound, PreconditionFailed, Unreachable
from chaosctl.events import Emit, Step, Warned
from chaosctl.stages import controller, kubeconfig, running
from chaosctl.stages.access import Access
from chaosctl.stages.infra import destroy_infra
from chaosctl.stages.stage import Context, Stage, StageResult
from chaosctl.waiting import TimedOut, wait_until

FINALIZER_SECONDS = 180.0  # for the controller to remove what it made; it needs about 10 s per load balancer
SWEEP_SECONDS = 60.0  # for AWS to show that the last things are gone
LAST_RESORT = "as a last resort what the controller made is deleted through the AWS API"


def stages() -> list[Stage]:
    """The steps of `down`, in order. Each does nothing when its part is gone already."""
    return [Balancers(), Releases(), Cloud(), UserKubeconfig(), Proof()]


def run(context: Context) -> StageResult:
    """Remove everything. Raises LeftoversFound with a list when something is left; running it again is fine."""
    results = running.run(stages(), context)
    context.target.release()
    changed = any(r.changed for r in results.values())
    return StageResult(changed, "nothing is left" if changed else "there was nothing to remove", {"left": []})


def deployment(context: Context) -> Deployment:
    """What to look for in AWS."""
    wanted = Deployment(context.settings.cluster_name, controller.tags(context))
    aws = Access(context).aws
    cluster = aws.cluster(wanted.cluster)
    vpc = cluster.vpc_id if cluster else inventory.vpc_of(aws, wanted)
    return Deployment(wanted.cluster, wanted.tags, vpc)


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
class Balancers:
    """Removes load balancers first: the network cannot be deleted while they stand in it."""

    name: str = "balancers"

    def describe(self) -> str:
        """What it is going to do."""
        return "remove Ingresses and load balancers while their controller is alive"

    def run(self, context: Context) -> StageResult:
        """Delete what the controller acts upon, wait until it has done so, else do it in its place."""
        kube, aws = _live_kube(context), Access(context).aws
        asked = _ask(kube, context.emit) if kube else 0
        left = _wait_for_controller(kube, aws, context)
        if left:
            _in_its_place(kube, aws, left, context)
        if not asked and not left:
            return StageResult(False, "no load balancers")
        return StageResult(True, "load balancers are gone")


def _ask(kube: Kube, emit: Emit) -> int:
    """Delete Ingresses, Services of type LoadBalancer and TargetGroupBindings in every namespace; how many."""
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
        # Those of an Ingress go with it; those that somebody wrote by hand would keep their targets.
        *((TARGET_GROUP_BINDINGS, o) for o in kube.list(TARGET_GROUP_BINDINGS) if not _owned(o)),
    ]


def _owned(obj: Object) -> bool:
    return any(label.startswith("ingress.k8s.aws/") for label in obj["metadata"].get("labels") or {})


def _made(aws: Aws, cluster: str) -> list[Leftover]:
    """What the controller made in AWS and has not removed yet, in the order in which it can be deleted."""
    return [
        *(Leftover("load balancer", lb.arn) for lb in elb.load_balancers(aws, cluster)),
        *(Leftover("target group", arn) for arn in elb.target_groups(aws, cluster)),
        *(Leftover("security group", group) for group in elb.security_groups(aws, cluster)),
    ]


def _wait_for_controller(kube: Kube | None, aws: Aws, context: Context) -> list[Leftover]:
    """Until finalizers are gone and AWS shows nothing; returns what is still there after that time."""
    left: list[Leftover] = []
    patience = FINALIZER_SECONDS if kube else 0.0

    def gone() -> tuple[bool, str]:
        nonlocal left
        left = _made(aws, context.settings.cluster_name)
        waiting = [o["metadata"]["name"] for _, o in _entries(kube)] if kube else []
        return not left and not waiting, ", ".join([*waiting, *(f"{item.kind} {item.id}" for item in left)])[:200]

    try:
        wait_until(
            gone, "the controller to remove its load balancers", timeout=patience, emit=context.emit, interval=0.5
        )
    except TimedOut as late:
        context.emit(Warned(f"the controller did not remove everything: {late.detail}", LAST_RESORT))
    return left


def _in_its_place(kube: Kube | None, aws: Aws, left: list[Leftover], context: Context) -> None:
    """Delete by tag, then take the finalizers off, or the namespace would wait for ever."""
    for item in left:
        _delete(aws, item, context.emit)
    for resource, obj in _entries(kube) if kube else []:
        meta = obj["metadata"]
        if kube and meta.get("finalizers"):
            kube.patch(resource, meta["name"], {"metadata": {"finalizers": None}}, meta["namespace"])


def _delete(aws: Aws, item: Leftover, emit: Emit) -> None:
    service, operation, argument = DELETIONS[item.kind]

    def deleted() -> tuple[bool, str]:
        try:
            aws.call(service, operation, **{argument: item.id})
        except AwsRefused as error:
            return error.not_found, error.why  # in use by what was deleted a moment ago: try again
        return True, ""

    try:
        wait_until(deleted, f"{item.kind} {item.id} to be deleted", timeout=SWEEP_SECONDS, emit=emit, interval=2)
        emit(Step(f"deleted {item.kind} {item.id}"))
    except TimedOut as late:
        emit(Warned(f"{item.kind} {item.id} cannot be deleted: {late.detail}"))


DELETIONS = {
    "load balancer": ("elbv2", "delete_load_balancer", "LoadBalancerArn"),
    "target group": ("elbv2", "delete_target_group", "TargetGroupArn"),
    "security group": ("ec2", "delete_security_group", "GroupId"),
    "network interface": ("ec2", "delete_network_interface", "NetworkInterfaceId"),
    "log group": ("logs", "delete_log_group", "logGroupName"),
}


@dataclass(frozen=True)
class Releases:
    """Uninstalls the app, then the controller that served it."""

    name: str = "releases"

    def describe(self) -> str:
        """What it is going to do."""
        return "uninstall the app, then the controller"

    def run(self, context: Context) -> StageResult:
        """Both Helm releases and the namespace. Skipped when the cluster does not answer: it goes as a whole."""
        if _live_kube(context) is None:
            return StageResult(False, "no cluster to uninstall from")
        access, settings = Access(context), context.settings
        app = access.helm.uninstall(settings.release, settings.namespace)
        own = _delete_namespace(access.kube, settings.namespace)
        served = access.helm.uninstall(controller.RELEASE, controller.NAMESPACE)
        changed = app or own or served
        return StageResult(changed, "app and controller are uninstalled" if changed else "nothing was installed")


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
        """terraform destroy."""
        changes = destroy_infra(context)
        return StageResult(bool(changes), f"Terraform: {changes}" if changes else "Terraform had made nothing")


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
        for path in (context.kubeconfig, context.workdir / "token"):
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
        aws, wanted = Access(context).aws, deployment(context)
        swept = _sweep(aws, wanted, context.emit)
        left = _settled(lambda: inventory.leftovers(aws, wanted), context.emit)
        if left:
            raise LeftoversFound(
                f"{len(left)} things are left of this deployment",
                code="LEFTOVERS",
                why="\n".join(f"{item.kind}: {item.id}" + (f" ({item.why})" if item.why else "") for item in left),
                remedy="run `chaosctl down` again; delete what stays with the AWS command line",
            )
        return StageResult(bool(swept), "nothing is left")


def _sweep(aws: Aws, wanted: Deployment, emit: Emit) -> int:
    """Delete what no owner deletes: network interfaces of terminated nodes, log groups that EKS made by itself."""
    swept = [Leftover("log group", name) for name in inventory.log_groups(aws, wanted.cluster)]
    if wanted.vpc_id:
        filters = [
            {"Name": "vpc-id", "Values": [wanted.vpc_id]},
            {"Name": "status", "Values": ["available"]},
            {"Name": "tag-key", "Values": ["node.k8s.amazonaws.com/instance_id"]},
        ]
        interfaces = aws.pages("ec2", "describe_network_interfaces", "NetworkInterfaces", Filters=filters)
        swept += [Leftover("network interface", i["NetworkInterfaceId"]) for i in interfaces]
    for item in swept:
        _delete(aws, item, emit)
    return len(swept)


def _settled(look: Callable[[], list[Leftover]], emit: Emit) -> list[Leftover]:
    """Look until nothing is left, or until what is left has not changed for some seconds."""
    seen = look()
    since, started = time.monotonic(), time.monotonic()
    while seen and time.monotonic() - since < 6 and time.monotonic() - started < SWEEP_SECONDS:
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
