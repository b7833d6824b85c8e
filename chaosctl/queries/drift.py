"""What is no longer as `up` left it: changed in AWS or in the cluster by somebody else. Looks only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chaosctl.adapters import elb
from chaosctl.adapters.helm import Release
from chaosctl.adapters.kube import AUTOSCALERS, DEPLOYMENTS, Kube, Object
from chaosctl.queries import redaction
from chaosctl.stages import alarms, autoscaler, controller, infra, naming, nodes
from chaosctl.stages.access import Access
from chaosctl.stages.release import HELM_MANAGER, drift_of
from chaosctl.stages.stage import Context

STACK_TAG = "ingress.k8s.aws/stack"  # namespace/name of the Ingress that a security group belongs to
WEB_PORTS = {80, 443}
MACHINES = {HELM_MANAGER, "chaosctl", "kube-controller-manager", "kube-apiserver"}  # field managers that are no person
HANDS = "kubectl"  # field managers of kubectl are kubectl-edit, kubectl-annotate, ...
REPLICAS_SECONDS = 0.7  # the autoscaler writes the size and its own status one after the other
CONTENT = ("f:spec", "f:data", "f:webhooks", "f:rules")
REMEDY = "`chaosctl up` puts it back; `chaosctl plan` shows how"
RESIZE = "`chaosctl infra` puts it back; or change the setting"


@dataclass(frozen=True)
class Difference:
    """One thing that differs. `where` is Terraform, AWS, Helm or Kubernetes; `what` is one line."""

    where: str
    object: str
    what: str
    remedy: str = REMEDY


@dataclass(frozen=True)
class _Scene:
    """What is looked at. Nothing is asked of anyone until a look does."""

    context: Context
    access: Access


def look(context: Context) -> list[Difference]:
    """All differences; without a cluster only Terraform's. The caller holds the lock of the environment.

    What changes by itself soon (the autoscaler corrects a size) is looked at first, Terraform, which is slow, last.
    """
    scene = _Scene(context, Access(context))
    cluster = scene.access.aws.cluster(context.settings.cluster_name)
    looks = [*(IN_CLUSTER if cluster and cluster.endpoint else ()), terraform]
    return [difference for each in looks for difference in each(scene)]


def replicas(scene: _Scene) -> Iterator[Difference]:
    """The app has as many pods as its autoscaler wants."""
    settings, kube = scene.context.settings, scene.access.kube
    name = f"Deployment {settings.namespace}/{settings.release}"
    wrong = _wrong_size(kube, settings.namespace, settings.release)
    if wrong:
        time.sleep(REPLICAS_SECONDS)
        wrong = _wrong_size(kube, settings.namespace, settings.release)
    if wrong:
        yield Difference("Kubernetes", name, wrong, "the autoscaler corrects it within a minute, except from 0")


def _wrong_size(kube: Kube, namespace: str, name: str) -> str:
    deployment, scaler = kube.get(DEPLOYMENTS, name, namespace), kube.get(AUTOSCALERS, name, namespace)
    return judge_size(deployment, scaler) if deployment and scaler else ""


def judge_size(deployment: Object, scaler: Object) -> str:
    """Why a Deployment's size is not its autoscaler's doing, in words; empty when it is."""
    size, spec = deployment["spec"].get("replicas", 1), scaler["spec"]
    least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
    wanted = scaler.get("status", {}).get("desiredReplicas", size)
    if not least <= wanted <= most:
        wanted = size  # it has not decided yet since it was last at rest (at 0)
    if not least <= size <= most:
        return f"is scaled to {size}, its autoscaler keeps {least} to {most}"
    if size != wanted:
        return f"is scaled to {size}, its autoscaler wants {wanted}"
    return ""


def releases(scene: _Scene) -> Iterator[Difference]:
    """Every object of the releases is as Helm made it."""
    settings, access = scene.context.settings, scene.access
    ours = [(settings.release, settings.namespace), (controller.RELEASE, controller.NAMESPACE)]
    if autoscaler.wanted(scene.context):
        ours.append((autoscaler.RELEASE, autoscaler.NAMESPACE))
    for name, namespace in ours:
        release = access.helm.release(name, namespace)
        if release is None:
            yield Difference("Helm", f"release {namespace}/{name}", "is not installed")
        elif release.status != "deployed":
            yield Difference("Helm", f"release {namespace}/{name}", f"is {release.status}")
        else:
            yield from _objects(access.kube, release)


def _objects(kube: Kube, release: Release) -> Iterator[Difference]:
    for manifest in release.objects():
        meta = manifest["metadata"]
        namespace = f"{meta['namespace']}/" if meta.get("namespace") else ""
        name = f"{manifest['kind']} {namespace}{meta['name']}"
        drift = drift_of(kube, release, manifest)
        if drift and drift.live is None:
            yield Difference("Helm", name, "is missing")
        elif drift:
            changed = redaction.diff(drift.wanted, drift.live)
            yield Difference("Helm", name, "; ".join(" ".join(line.split()) for line in changed if line[:1] in "+-"))
        live = kube.get(kube.resource_of(manifest), meta["name"], meta.get("namespace") or release.namespace)
        yield from _by_hand(name, live or {}, manifest, content_too=drift is None)


def _by_hand(name: str, live: Object, manifest: Object, *, content_too: bool) -> Iterator[Difference]:
    """Fields that the chart says nothing about, set by a person: `up` leaves those alone."""
    meta = manifest["metadata"]
    charted = {*(meta.get("annotations") or {}), *(meta.get("labels") or {})}
    charted |= set() if content_too else {part.removeprefix("f:") for part in CONTENT}
    for who, fields in additions(live, charted).items():
        yield Difference("Kubernetes", name, f"{who} added {', '.join(fields)}", "undo it with kubectl, or keep it")


def additions(live: Object, charted: set[str]) -> dict[str, list[str]]:
    """By field manager: the annotations, labels and parts of the content that people set, but not `charted` ones."""
    found: dict[str, list[str]] = {}
    for entry in live.get("metadata", {}).get("managedFields") or ():
        who, fields = entry.get("manager", ""), entry.get("fieldsV1", {})
        if who in MACHINES or not who.startswith(HANDS) or entry.get("subresource") or who == "kubectl-rollout":
            continue
        meta = fields.get("f:metadata", {})
        marks = [*meta.get("f:annotations", {}), *meta.get("f:labels", {})]
        named = [m.removeprefix("f:") for m in marks if m.startswith("f:") and "last-applied" not in m]
        named += [part.removeprefix("f:") for part in CONTENT if part in fields]
        if added := [name for name in named if name not in charted]:
            found.setdefault(who, []).extend(added)
    return found


def node_groups(scene: _Scene) -> Iterator[Difference]:
    """Node groups have the size that the settings say.

    Where an autoscaler decides on it, there is nothing to say against any: AWS itself keeps it between least and most.
    """
    if autoscaler.wanted(scene.context):
        return
    for each in nodes.resizes(scene.context):
        yield Difference("AWS", f"node group {each.group.name}", str(each), RESIZE)


def security_groups(scene: _Scene) -> Iterator[Difference]:
    """No security group of the VPC lets anybody in, but those of our load balancer for whom the settings name."""
    settings, aws = scene.context.settings, scene.access.aws
    ours = f"{settings.namespace}/{settings.release}"
    filters = [{"Name": "vpc-id", "Values": [scene.access.cluster.vpc_id]}]
    for group in aws.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=filters):
        tags = {tag["Key"]: tag["Value"] for tag in group.get("Tags") or ()}
        if elb.CLUSTER_TAG in tags and tags.get(STACK_TAG, ours) != ours:
            continue  # another Ingress has its own rules
        allowed = set(settings.app.inbound_cidrs) if elb.CLUSTER_TAG in tags else set()
        for opening in openings(group, allowed):
            yield Difference(
                "AWS",
                f"security group {group['GroupId']} ({group.get('GroupName', '')})",
                opening,
                "`aws ec2 revoke-security-group-ingress`, or name the addresses in app.inbound_cidrs",
            )


def openings(group: Object, allowed: set[str]) -> list[str]:
    """The rules by which addresses get in that should not: all but `allowed` ones to the ports of the web."""
    found = []
    for rule in group.get("IpPermissions") or ():
        ports = (rule.get("FromPort", 0), rule.get("ToPort", 65535))
        web = ports[0] == ports[1] and ports[0] in WEB_PORTS
        sources = [r["CidrIp"] for r in rule.get("IpRanges") or ()]
        sources += [r["CidrIpv6"] for r in rule.get("Ipv6Ranges") or ()]
        wrong = [source for source in sources if not (web and source in allowed)]
        if wrong:
            shown = f"port {ports[0]}" if ports[0] == ports[1] else f"ports {ports[0]} to {ports[1]}"
            found.append(f"is open to {', '.join(wrong)} on {shown}")
    return found


def name(scene: _Scene) -> Iterator[Difference]:
    """The domain of the settings leads to the load balancer."""
    if wrong := naming.astray(scene.context, scene.access):
        yield Difference("AWS", f"DNS name {scene.context.settings.tls.domain}", wrong)


def protection(scene: _Scene) -> Iterator[Difference]:
    """The cluster is protected against deletion, or not, as the settings say."""
    if wrong := infra.unprotected(scene.context):
        yield Difference("AWS", "deletion protection", wrong)


def terraform(scene: _Scene) -> Iterator[Difference]:
    """Everything that Terraform made is there, as the module and the settings say.

    What only follows from another difference (the dashboard names an alarm that is missing) is not one of its own.
    """
    context = scene.context
    examined = infra.examine_infra(context) if infra.has_state(context) else []
    watching = alarms.examine(context) if alarms.has_state(context) else []
    for change in (*examined, *watching):
        if change.matters and not change.follows:
            what = "; ".join(map(str, change.attributes)) or ACTIONS.get(change.action, change.action)
            yield Difference("Terraform", change.address, what)


ACTIONS = {"create": "is missing", "delete": "should not be there", "replace": "has to be made anew"}
IN_CLUSTER: tuple[Callable[[_Scene], Iterator[Difference]], ...] = (
    replicas,
    node_groups,
    protection,
    security_groups,
    releases,
    name,
)
