"""A version is rolled out whose pods do not all fit on the nodes that there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import Field

from chaosctl.adapters.kube import DEPLOYMENTS, NODES, quantity
from chaosctl.chaos.cluster import Cluster, Object, Place
from chaosctl.chaos.events import Injected
from chaosctl.chaos.experiment import Aim, FaultPlan
from chaosctl.chaos.faults import fault, template, workload
from chaosctl.chaos.faults.fault import Fault, Injection, Look

AUTOSCALER, NAMESPACE = "cluster-autoscaler", "kube-system"
SPARE = 0.8  # of one more pod: what is left of a node for all that is on it besides


class Options(fault.Options):
    """For how many seconds at least; whether to see the nodes go again that came."""

    seconds: float = Field(0.0, ge=0, le=600)
    scale_in: bool = False


class BiggerPods(Fault):
    """The rollout comes to its end only when a node was added: the Cluster Autoscaler has to see to that."""

    name = "bigger-pods"
    about = "a version whose pods request more CPU than the nodes hold, until nodes were added and all of them run"
    needs = "a Cluster Autoscaler, and more pods than nodes"
    undoes = "rolls back; the nodes go when the autoscaler finds that they are not needed"
    options = Options

    def unfit(self, cluster: Cluster, place: Place) -> str:
        found = cluster.get(DEPLOYMENTS, AUTOSCALER, NAMESPACE) or {}
        if not found.get("status", {}).get("availableReplicas"):
            return f"nothing adds nodes: no {AUTOSCALER} serves in {NAMESPACE} (infra.node_autoscaling)"
        replicas, nodes = _replicas(workload.deployment(cluster, place)), len(workload.nodes(cluster))
        return "" if replicas > nodes else f"{replicas} pods on {nodes} nodes: each could have a node of its own"

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        """See Fault. No pod is lost by this: an old one goes when a new one is ready."""
        self.told(aim.options)
        self.require_fit(cluster, place)
        found, ready = workload.deployment(cluster, place), workload.ready_count(cluster, place)
        workload.guard_rollout(found, ready, aim)
        victim = workload.as_victim(found, f"{len(workload.nodes(cluster))} nodes")
        return workload.make(self.name, aim, place, (victim,), ready, held=True)

    def describe(self, plan: FaultPlan) -> str:
        (victim,) = plan.victims
        return f"roll out a version of {victim.name} that does not fit on {victim.before}"

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        found = workload.deployment(cluster, plan.place)
        resources = template.container(found).get("resources") or {}
        return template.change(found, plan.place, "resources", enlarged(resources, self._request(found, cluster)))

    def _request(self, deployment: Object, cluster: Cluster) -> int:
        """Thousandths of a processor: the least by which the nodes hold fewer pods than there are."""
        usable = {node.name for node in workload.nodes(cluster)}
        listed = [obj for obj in cluster.list(NODES) if obj["metadata"]["name"] in usable]
        smallest = min(quantity(obj["status"]["allocatable"]["cpu"]) for obj in listed)
        on_each = max(1, (_replicas(deployment) - 1) // len(listed))
        return round(1000 * smallest / (on_each + SPARE))

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        if stop():
            return
        template.make(written, cluster)
        (victim,) = plan.victims
        yield Injected(time.monotonic(), victim.uid, victim.name)

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        """See Fault. What proves it: all pods of that version are ready, on more nodes than there were."""
        (victim,) = plan.victims
        options: Options = self.told(plan.options)
        found = workload.deployment(cluster, plan.place)
        before, now = int(victim.before.split()[0]), len(workload.nodes(cluster))
        unfinished = workload.unfinished(found)
        ready = found.get("status", {}).get("readyReplicas", 0)
        request = (template.container(found).get("resources") or {}).get("requests", {}).get("cpu", "none")
        serves = not unfinished and ready >= _replicas(found)
        evidence = f"{before} -> {now} nodes, {ready} pods that request {request} of CPU"
        missing = f"{now} nodes, not {before} as before" if options.scale_in and now > before else ""
        return Look({victim.uid: evidence} if serves and now > before else {}, unfinished or missing)

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        return template.put_back(data, cluster)


def enlarged(resources: Mapping[str, Any], request: int) -> dict[str, Any]:
    """The resources with that request, in thousandths of a processor, and a limit that is not below it."""
    cpu = f"{request}m"
    limits = dict(resources.get("limits") or {})
    if "cpu" in limits and quantity(limits["cpu"]) * 1000 < request:
        limits["cpu"] = cpu
    changed = {**resources, "requests": {**(resources.get("requests") or {}), "cpu": cpu}}
    return {**changed, "limits": limits} if limits else changed


def _replicas(deployment: Object) -> int:
    return int(deployment["spec"].get("replicas", 1))
