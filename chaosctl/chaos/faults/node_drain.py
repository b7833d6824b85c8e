"""A node is drained, as `kubectl drain` does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from chaosctl.adapters.kube import NODES, PODS, Conflict, EvictionBlocked, NotFound
from chaosctl.adapters.pod import Pod
from chaosctl.chaos.cluster import Cluster, Object, Place
from chaosctl.chaos.events import Injected, NotInjected
from chaosctl.chaos.experiment import Aim, FaultPlan, Victim
from chaosctl.chaos.faults import workload
from chaosctl.chaos.faults.fault import Fault, Injection, Look
from chaosctl.chaos.faults.pod_kill import BUDGETS, pause
from chaosctl.chaos.plan import at_once, guard_blast_radius
from chaosctl.chaos.undo import each
from chaosctl.errors import Refused
from chaosctl.events import Waiting

RETRY_EVERY = 1.0  # seconds between two rounds of evictions, when disruption budgets block some
WITHIN = 180.0  # seconds that evictions may be blocked
MIRROR = "kubernetes.io/config.mirror"  # pods that the kubelet itself made; nobody can evict them


class NodeDrain(Fault):
    """A node takes no new pods, and those that it has are evicted; PodDisruptionBudgets set the pace."""

    name = "node-drain"
    about = "a node is cordoned, its pods are evicted at the pace that PodDisruptionBudgets allow"
    needs = "two nodes that take pods"
    undoes = "uncordons"

    def unfit(self, cluster: Cluster, place: Place) -> str:
        found = workload.nodes(cluster)
        return "" if len(found) > 1 else f"{len(found)} node takes pods: they would have nowhere to go"

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        """See Fault. Nodes that have pods of the app come first: draining another tests nothing.

        Evictions are paced by PodDisruptionBudgets; where none covers a pod, the whole node is emptied at once, and the
        blast radius counts as for any other loss.
        """
        self.require_fit(cluster, place)
        found = workload.in_order(aim.seed, workload.nodes(cluster))
        budgets, ready = cluster.budgets(place), workload.ready_count(cluster, place)

        def guard(lost: Sequence[Pod]) -> None:
            if not aim.consent:
                guard_blast_radius(at_once(lost, budgets), ready)

        (node,), lost = workload.first_allowed([[n] for n in found], cluster.pods(place), place, guard)
        return workload.make(self.name, aim, place, [node.victim("takes pods"), *map(Victim.of, lost)], ready)

    def describe(self, plan: FaultPlan) -> str:
        node, *pods = plan.victims
        return f"drain {node.name} with {len(pods)} pods of the app"

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        return cordons(plan)

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        if stop():
            return
        node = plan.victims[0]
        cordon(cluster, node)
        yield Injected(time.monotonic(), node.uid, node.name)
        waiting = [Pod.of(obj) for obj in _on(node.name, cluster)]
        wanted = {victim.uid for victim in plan.victims}
        begun = time.monotonic()
        deadline = begun + WITHIN
        while waiting and time.monotonic() < deadline and not stop():
            for pod in list(waiting):
                if stop():
                    return
                if self._evict(pod, plan.place, cluster):
                    waiting.remove(pod)
                    if pod.uid in wanted:
                        yield Injected(time.monotonic(), pod.uid, pod.name)
            if waiting:
                names = ", ".join(pod.name for pod in waiting)
                yield Waiting(BUDGETS, time.monotonic() - begun, names)
                pause(RETRY_EVERY, stop)
        for pod in () if stop() else waiting:
            yield NotInjected(time.monotonic(), pod.uid, pod.name, "a PodDisruptionBudget did not let it go")

    def _evict(self, pod: Pod, place: Place, cluster: Cluster) -> bool:
        """Whether it needs no further attempt."""
        try:
            cluster.evict(replace(place, namespace=pod.namespace), pod.name, pod.uid)
        except EvictionBlocked:
            return False
        except (Conflict, NotFound):  # it went by itself
            return True
        return True

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        node = plan.victims[0]
        found = cluster.get(NODES, node.name)
        cordoned = found is not None and found["spec"].get("unschedulable", False)
        return Look({node.uid: "cordoned"} if cordoned else {})

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        return uncordon(data, cluster)


def _on(node: str, cluster: Cluster) -> list[Object]:
    """The pods to evict; whatever the API lists, those of other nodes are left alone."""
    listed = cluster.list(PODS, fields=f"spec.nodeName={node}")
    return [pod for pod in listed if pod["spec"].get("nodeName") == node and _evictable(pod)]


def _evictable(pod: Object) -> bool:
    """Not what a DaemonSet would start again at once, nor what the kubelet made, nor what has ended."""
    meta = pod["metadata"]
    owners = {owner["kind"] for owner in meta.get("ownerReferences") or ()}
    done = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not (owners & {"DaemonSet", "Node"} or MIRROR in (meta.get("annotations") or {}) or done)


def cordons(plan: FaultPlan) -> dict[str, Any]:
    """What `uncordon` needs: only nodes that took pods before are ever chosen."""
    return {"nodes": [{"name": v.name, "uid": v.uid} for v in plan.victims if v.kind == "Node"]}


def cordon(cluster: Cluster, node: Victim) -> None:
    """Let it take no new pods. Raises Refused (CHAOS-DRIFTED) when the node of that name is another one."""
    found = cluster.get(NODES, node.name)
    if found is None or found["metadata"]["uid"] != node.uid:
        raise Refused(f"the node {node.name} is gone", code="CHAOS-DRIFTED", remedy="make a new plan")
    cluster.patch(NODES, node.name, {"spec": {"unschedulable": True}})


def uncordon(data: Mapping[str, Any], cluster: Cluster) -> str:
    """Let the nodes take pods again, as far as they still exist; each is tried."""
    done = each((f"the node {node['name']}", partial(_uncordon, node, cluster)) for node in data["nodes"])
    names = ", ".join(name for name in done if name)
    return f"{names} takes pods again" if names else "nothing to put back: no cordon of it is left"


def _uncordon(node: Mapping[str, str], cluster: Cluster) -> str:
    """The node's name if it was cordoned."""
    found = cluster.get(NODES, node["name"])
    if found is None or found["metadata"]["uid"] != node["uid"] or not found["spec"].get("unschedulable"):
        return ""
    cluster.patch(NODES, node["name"], {"spec": {"unschedulable": None}})
    return node["name"]
