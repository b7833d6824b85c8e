"""The app gets more or fewer replicas for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from pydantic import Field

from chaosctl.adapters.kube import AUTOSCALERS, DEPLOYMENTS
from chaosctl.chaos.cluster import Cluster, Object, Place
from chaosctl.chaos.events import Injected
from chaosctl.chaos.experiment import Aim, FaultPlan
from chaosctl.chaos.faults import fault, workload
from chaosctl.chaos.faults.fault import Fault, Injection, Look
from chaosctl.chaos.plan import guard_blast_radius
from chaosctl.chaos.undo import each
from chaosctl.errors import Refused


class Options(fault.Options):
    """`by` replicas more, or fewer when it is negative, for `seconds`."""

    by: int = 1
    seconds: float = Field(10.0, ge=0, le=600)


class Scale(Fault):
    """The Deployment's replica count; and the bounds of the HPA that rules it, or that would set it right at once."""

    name = "scale"
    about = "the app's Deployment gets `by` replicas more (or fewer) for `seconds`"
    undoes = "the replica count and the HPA's bounds, unless someone else has set them since"
    options = Options

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        options: Options = self.told(aim.options)
        found, ready = workload.deployment(cluster, place), workload.ready_count(cluster, place)
        replicas = _replicas(found)
        if options.by < 0 and not aim.consent:
            guard_blast_radius(-options.by, ready)
        if options.by == 0 or replicas + options.by < 1:
            raise Refused(
                f"{replicas} replicas cannot be changed by {options.by}",
                code="CHAOS-NO-CANDIDATES",
                why="one must be left, and the number has to change",
                remedy="choose another `by`",
            )
        expected = replicas + options.by if options.by > 0 else 0
        victim = workload.as_victim(found, str(replicas))
        return workload.make(self.name, aim, place, (victim,), ready, held=True, expected=expected)

    def unnamed(self, plan: FaultPlan, cluster: Cluster) -> int:
        options: Options = self.told(plan.options)
        return max(0, -options.by)

    def describe(self, plan: FaultPlan) -> str:
        (victim,) = plan.victims
        return f"scale {victim.name} from {victim.before} to {self._wanted(plan)} replicas"

    def _wanted(self, plan: FaultPlan) -> int:
        options: Options = self.told(plan.options)
        return int(plan.victims[0].before) + options.by

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        (victim,) = plan.victims
        wanted = self._wanted(plan)
        return {
            "namespace": plan.place.namespace,
            "deployment": victim.name,
            "uid": victim.uid,
            "original": int(victim.before),
            "injected": wanted,
            "autoscaler": _bounds(workload.autoscaler(cluster, plan.place, victim.name), wanted),
        }

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        if stop():
            return
        (victim,) = plan.victims
        namespace = plan.place.namespace
        require_replicas(written, cluster)
        if bounds := written["autoscaler"]:
            if _spec(cluster.get(AUTOSCALERS, bounds["name"], namespace)) != bounds["original"]:
                raise _drifted(f"the bounds of the HPA {bounds['name']} are not what was written down")
            cluster.patch(AUTOSCALERS, bounds["name"], {"spec": bounds["injected"]}, namespace)
        cluster.patch(DEPLOYMENTS, victim.name, {"spec": {"replicas": written["injected"]}}, namespace)
        yield Injected(time.monotonic(), victim.uid, victim.name)

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        (victim,) = plan.victims
        found = cluster.get(DEPLOYMENTS, victim.name, plan.place.namespace)
        now = found.get("status", {}).get("replicas", 0) if found else None
        evidence = f"{victim.before} -> {now} replicas"
        return Look({victim.uid: evidence} if now == self._wanted(plan) else {})

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        steps = [
            ("the HPA", partial(_restore_bounds, data, cluster)),
            ("the Deployment", partial(restore_replicas, data, cluster)),
        ]
        return each(steps)[-1]


def _restore_bounds(data: Mapping[str, Any], cluster: Cluster) -> str:
    bounds = data["autoscaler"]
    if bounds and _spec(cluster.get(AUTOSCALERS, bounds["name"], data["namespace"])) == bounds["injected"]:
        cluster.patch(AUTOSCALERS, bounds["name"], {"spec": bounds["original"]}, data["namespace"])
        return f"the HPA {bounds['name']} has its bounds again"
    return ""


def _bounds(autoscaler: Object | None, wanted: int) -> dict[str, Any] | None:
    """Its name and bounds, and those that let `wanted` replicas be."""
    if autoscaler is None:
        return None
    original = _spec(autoscaler)
    more = wanted > original["minReplicas"]
    injected = {
        "minReplicas": wanted if more else min(wanted, original["minReplicas"]),
        "maxReplicas": max(wanted, original["maxReplicas"]) if more else wanted,
    }
    return {"name": autoscaler["metadata"]["name"], "original": original, "injected": injected}


def _spec(autoscaler: Object | None) -> dict[str, int]:
    spec = autoscaler["spec"] if autoscaler else {}
    return {"minReplicas": spec.get("minReplicas", 1), "maxReplicas": spec.get("maxReplicas", 0)}


def require_replicas(written: Mapping[str, Any], cluster: Cluster) -> None:
    """See that it has the number that an undo would restore. Raises Refused (CHAOS-DRIFTED)."""
    name = written["deployment"]
    found = cluster.get(DEPLOYMENTS, name, written["namespace"])
    if found is None or found["metadata"]["uid"] != written["uid"] or _replicas(found) != written["original"]:
        raise _drifted(f"the Deployment {name} is gone, or has not {written['original']} replicas any more")


def _drifted(why: str) -> Refused:
    return Refused("the Deployment has changed", code="CHAOS-DRIFTED", why=why, remedy="run it again")


def restore_replicas(data: Mapping[str, Any], cluster: Cluster) -> str:
    """Set the replica count to the original, if it still is the injected one."""
    name, namespace = data["deployment"], data["namespace"]
    found = cluster.get(DEPLOYMENTS, name, namespace)
    if found is None or found["metadata"]["uid"] != data["uid"]:
        return f"nothing to put back: the Deployment {name} is gone"
    if _replicas(found) != data["injected"]:
        return f"nothing to put back: the Deployment {name} has {_replicas(found)} replicas, not the injected number"
    cluster.patch(DEPLOYMENTS, name, {"spec": {"replicas": data["original"]}}, namespace)
    return f"the Deployment {name} has {data['original']} replicas again"


def _replicas(deployment: Object) -> int:
    return int(deployment["spec"].get("replicas", 1))
