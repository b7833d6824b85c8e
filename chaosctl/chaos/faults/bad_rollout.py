"""A version is rolled out that cannot work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from chaosctl.adapters.kube import PODS
from chaosctl.chaos.cluster import Cluster, Object, Place
from chaosctl.chaos.events import Injected
from chaosctl.chaos.experiment import Aim, FaultPlan
from chaosctl.chaos.faults import fault, template, workload
from chaosctl.chaos.faults.fault import Fault, Injection, Look

NO_TAG = "chaosctl-no-such-version"
NO_PATH = "/chaosctl-never-ready"
NO_PROGRAM = ["/chaosctl-no-such-program"]


class Options(fault.Options):
    """What is wrong with the version, and for how many seconds it stays."""

    kind: Literal["image", "readiness", "crash-loop"] = "image"
    seconds: float = Field(15.0, ge=0, le=600)


class BadRollout(Fault):
    """An image that does not exist, a readiness probe that never passes, or a program that cannot start."""

    name = "bad-rollout"
    about = "a broken version is rolled out: `kind` image, readiness or crash-loop"
    undoes = "rolls back"
    options = Options

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        """See Fault."""
        self.told(aim.options)
        victim = workload.as_victim(workload.deployment(cluster, place), "")
        return workload.make(self.name, aim, place, (victim,), workload.ready_count(cluster, place), held=True)

    def describe(self, plan: FaultPlan) -> str:
        """See Fault."""
        options: Options = self.told(plan.options)
        return f"roll out a version of {plan.victims[0].name} with a bad {options.kind}"

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        """See Fault."""
        found = workload.deployment(cluster, plan.place)
        return template.change(found, plan.place, *self._change(plan, template.container(found)))

    def _change(self, plan: FaultPlan, container: Object) -> tuple[str, Any]:
        """Which field of the container becomes what."""
        options: Options = self.told(plan.options)
        match options.kind:
            case "image":
                repository = container["image"].partition("@")[0]
                tail = repository.rpartition("/")[2]
                bare = repository[: -len(tail)] + tail.partition(":")[0]
                return "image", f"{bare}:{NO_TAG}"
            case "readiness":
                asked = {"path": NO_PATH, "port": container["ports"][0]["containerPort"], "scheme": "HTTP"}
                return "readinessProbe", {**container.get("readinessProbe", {}), "httpGet": asked}
            case _:
                return "command", NO_PROGRAM

    def inject(self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool]) -> Iterator[Injection]:
        """See Fault."""
        if stop():
            return
        template.make(self.undo_data(plan, cluster), cluster)
        (victim,) = plan.victims
        yield Injected(time.monotonic(), victim.uid, victim.name)

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        """See Fault. A pod of that version that does not become ready proves it; rolling back takes its time."""
        (victim,) = plan.victims
        missing = workload.unfinished(workload.deployment(cluster, plan.place))
        for pod in cluster.list(PODS, plan.place.namespace, plan.place.selector):
            own = pod["spec"]["containers"][0]
            field, bad = self._change(plan, own)
            if own.get(field) == bad and (trouble := _trouble(pod)):
                return Look({victim.uid: f"{pod['metadata']['name']}: {trouble}"}, missing)
        return Look(missing=missing)

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        """See Fault."""
        return template.put_back(data, cluster)


def _trouble(pod: Object) -> str:
    """Why a pod is not ready, once its kubelet has tried; empty before."""
    for status in pod.get("status", {}).get("containerStatuses") or ():
        state = status.get("state", {})
        reason = state.get("waiting", {}).get("reason") or state.get("terminated", {}).get("reason")
        if reason and reason != "ContainerCreating":
            return str(reason)
        if "running" in state and not status.get("ready"):
            return "runs, and is not ready"
    return ""
