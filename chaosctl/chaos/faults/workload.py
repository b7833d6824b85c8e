"""The app's Deployment and the cluster's nodes, as faults look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chaosctl.adapters.kube import AUTOSCALERS, DEPLOYMENTS, NODES
from chaosctl.adapters.pod import Pod
from chaosctl.chaos import cluster as clusters
from chaosctl.chaos.cluster import Cluster, Object, Place
from chaosctl.chaos.experiment import Aim, FaultPlan, Mode, Sign, Victim
from chaosctl.chaos.plan import guard_blast_radius, rank
from chaosctl.errors import Refused

ZONE = "topology.kubernetes.io/zone"


@dataclass(frozen=True)
class Node:
    """A node. `instance` is what the cloud calls it, or empty."""

    name: str
    uid: str
    zone: str
    instance: str
    ready: bool
    schedulable: bool

    @classmethod
    def of(cls, obj: Object) -> Node:
        """From the API's object."""
        meta, spec = obj["metadata"], obj.get("spec", {})
        conditions = {c["type"]: c["status"] for c in obj.get("status", {}).get("conditions") or ()}
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            zone=(meta.get("labels") or {}).get(ZONE, ""),
            instance=spec.get("providerID", "").rpartition("/")[2],
            ready=conditions.get("Ready") == "True",
            schedulable=not spec.get("unschedulable", False),
        )

    def victim(self, before: str) -> Victim:
        """The node as a victim."""
        return Victim(self.uid, self.name, self.name, "", "", "", kind="Node", sign=Sign.CHANGED, before=before)


def nodes(cluster: Cluster) -> list[Node]:
    """All nodes that are ready and take pods."""
    found = (Node.of(obj) for obj in cluster.list(NODES))
    return [node for node in found if node.ready and node.schedulable]


def deployment(cluster: Cluster, place: Place) -> Object:
    """The app's Deployment. Raises Refused (CHAOS-NO-DEPLOYMENT) when there is not exactly one."""
    listed = cluster.list(DEPLOYMENTS, place.namespace, place.selector)
    found = [obj for obj in listed if clusters.matches(obj["metadata"].get("labels") or {}, place.selector)]
    if len(found) != 1:
        raise Refused(
            f"there are {len(found)} Deployments of the app, not one",
            code="CHAOS-NO-DEPLOYMENT",
            why=f"in namespace {place.namespace}, labels {place.selector}",
            remedy="see with `chaosctl status` whether the app is installed",
        )
    return found[0]


def unfinished(deployment: Object) -> str:
    """What a rollout still misses; empty once every replica is of the newest template and no old one is left."""
    meta, status = deployment["metadata"], deployment.get("status", {})
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        return "the rollout has not begun"
    wanted, updated = deployment["spec"].get("replicas", 1), status.get("updatedReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods are of the new version"
    old = status.get("replicas", 0) - updated
    return f"{old} pods of the old version are left" if old > 0 else ""


def rolling_out(cluster: Cluster, place: Place) -> str:
    """What a rollout of the app that is under way still misses; empty when there is none."""
    listed = cluster.list(DEPLOYMENTS, place.namespace, place.selector)
    found = [obj for obj in listed if clusters.matches(obj["metadata"].get("labels") or {}, place.selector)]
    return "; ".join(f"{obj['metadata']['name']}: {missing}" for obj in found if (missing := unfinished(obj)))


def autoscaler(cluster: Cluster, place: Place, deployment: str) -> Object | None:
    """The HPA that rules the Deployment."""
    wanted = {"kind": "Deployment", "name": deployment}
    found = cluster.list(AUTOSCALERS, place.namespace)
    return next((hpa for hpa in found if wanted.items() <= hpa["spec"]["scaleTargetRef"].items()), None)


def as_victim(obj: Object, before: str, namespace: str = "") -> Victim:
    """A Deployment as a victim; `before` is what it has to differ from."""
    meta = obj["metadata"]
    return Victim(meta["uid"], meta["name"], "", "", "", "", "Deployment", namespace, sign=Sign.CHANGED, before=before)


def pods_on(pods: Iterable[Pod], names: Iterable[str], place: Place) -> list[Pod]:
    """The ready ones of the app on nodes of these names, in a stable order."""
    on = set(names)
    return sorted((p for p in clusters.ready(pods, place) if p.node in on), key=lambda p: p.uid)


Guard = Callable[[Sequence[Pod]], None]  # raises Refused when these pods must not be lost


def first_allowed(
    groups: Iterable[Sequence[Node]], pods: Iterable[Pod], place: Place, guard: Guard
) -> tuple[Sequence[Node], list[Pod]]:
    """The first group of nodes whose pods of the app may be lost; those that have any come before those that have none.

    Raises Refused, as the guard does for the first one.
    """
    pods = list(pods)
    hit = [(group, pods_on(pods, [node.name for node in group], place)) for group in groups]
    hit.sort(key=lambda pair: not pair[1])  # stable
    refusal: Refused | None = None
    for group, lost in hit:
        try:
            guard(lost)
        except Refused as error:
            refusal = refusal or error
            continue
        return group, lost
    raise refusal or Refused("there is no node", code="CHAOS-NO-CANDIDATES")


def guard_rollout(deployment: Object, ready: int, aim: Aim) -> None:
    """A rollout may take away at once what its strategy says. Raises Refused (CHAOS-BLAST-RADIUS)."""
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        lost = ready
    else:
        told = str((strategy.get("rollingUpdate") or {}).get("maxUnavailable", "25%"))
        replicas = int(deployment["spec"].get("replicas", 1))
        lost = replicas * int(told[:-1]) // 100 if told.endswith("%") else int(told)
    if lost and not aim.consent:
        guard_blast_radius(min(lost, ready), ready)


def in_order(seed: int, found: Iterable[Node]) -> list[Node]:
    """The nodes in the order in which the seed would take them."""
    return sorted(found, key=lambda node: rank(seed, node.uid))


def whole_app(name: str, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
    """A plan in which every ready pod is replaced, by whichever controller comes next."""
    ready = sorted(clusters.ready(cluster.pods(place), place), key=lambda pod: pod.uid)
    victims = tuple(replace(Victim.of(pod), owner_uid="") for pod in ready)
    return make(name, aim, place, victims, len(ready))


def ready_count(cluster: Cluster, place: Place) -> int:
    """How many of the app's pods serve."""
    return len(clusters.ready(cluster.pods(place), place))


def make(name: str, aim: Aim, place: Place, victims: Sequence[Victim], ready: int, **more: Any) -> FaultPlan:
    """A plan. Raises Refused (CHAOS-NO-CANDIDATES) when it would hit nothing."""
    if not victims or not ready:
        raise Refused(
            "there is nothing that could be hit",
            code="CHAOS-NO-CANDIDATES",
            why=f"{ready} ready pods in namespace {place.namespace}, labels {place.selector}",
            remedy="see with `chaosctl status` why",
        )
    options: Mapping[str, Any] = dict(aim.options)
    return FaultPlan(name, Mode.GRACEFUL, aim.seed, place, tuple(victims), ready, options, **more)
