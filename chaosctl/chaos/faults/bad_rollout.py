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
from chaosctl.errors import Refused

NO_TAG = "chaosctl-no-such-version"
NO_PATH = "/chaosctl-never-ready"
NO_PROGRAM = ["/chaosctl-no-such-program"]
BAD_ANSWERS = "chaosctl.dev/bad-answers-variable"  # annotation of a template that offers it: per cent,seconds

SERVING = ("errors", "slow")  # kinds whose probes pass


class Options(fault.Options):
    """What is wrong with the version, and for how many seconds it stays."""

    kind: Literal["image", "readiness", "crash-loop", "errors", "slow"] = "image"
    seconds: float = Field(15.0, ge=0, le=600)
    percent: float = Field(50.0, gt=0, le=100, description="of the answers are errors, for `errors`")
    delay: float = Field(1.0, gt=0, le=10, description="seconds that each answer takes, for `slow`")


class BadRollout(Fault):
    """An image that does not exist, a readiness probe that never passes, a program that cannot start.

    Or one whose probes pass, and whose answers to users are errors, or slow.
    """

    name = "bad-rollout"
    about = "a broken version is rolled out: `kind` image, readiness, crash-loop, errors or slow"
    undoes = "rolls back"
    options = Options

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        options: Options = self.told(aim.options)
        found = workload.deployment(cluster, place)
        if options.kind in SERVING and not _variable(found):
            raise Refused(
                "this backend cannot be told to answer badly",
                code="CHAOS-UNFIT",
                why=f"no annotation {BAD_ANSWERS}",
                remedy="see with `chaosctl chaos list` what can be done",
            )
        ready = workload.ready_count(cluster, place)
        workload.guard_rollout(found, ready, aim)
        return workload.make(self.name, aim, place, (workload.as_victim(found, ""),), ready, held=True)

    def describe(self, plan: FaultPlan) -> str:
        options: Options = self.told(plan.options)
        return f"roll out a version of {plan.victims[0].name} with a bad {options.kind}"

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        found = workload.deployment(cluster, plan.place)
        return template.change(found, plan.place, *self._change(plan, template.container(found), _variable(found)))

    def _change(self, plan: FaultPlan, container: Object, variable: str) -> tuple[str, Any]:
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
            case "errors" | "slow":
                kept = [entry for entry in container.get("env") or () if entry["name"] != variable]
                value = f"{options.percent:g},0" if options.kind == "errors" else f"0,{options.delay:g}"
                return "env", [*kept, {"name": variable, "value": value}]
            case _:
                return "command", NO_PROGRAM

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        if stop():
            return
        template.make(written, cluster)
        (victim,) = plan.victims
        yield Injected(time.monotonic(), victim.uid, victim.name)

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        """See Fault. What proves it is a pod of that version: not ready, or, if only its answers are bad, ready.

        Rolling back takes its time.
        """
        (victim,) = plan.victims
        options: Options = self.told(plan.options)
        missing = workload.unfinished(workload.deployment(cluster, plan.place))
        for pod in cluster.list(PODS, plan.place.namespace, plan.place.selector):
            own = pod["spec"]["containers"][0]
            field, bad = self._change(plan, own, str((pod["metadata"].get("annotations") or {}).get(BAD_ANSWERS, "")))
            tell = _serving if options.kind in SERVING else _trouble
            if own.get(field) == bad and (trouble := tell(pod)):
                return Look({victim.uid: f"{pod['metadata']['name']}: {trouble}"}, missing)
        return Look(missing=missing)

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        return template.put_back(data, cluster)


def _variable(deployment: Object) -> str:
    annotations = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    return str(annotations.get(BAD_ANSWERS, ""))


def _serving(pod: Object) -> str:
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return "serves, and answers badly" if statuses and all(status.get("ready") for status in statuses) else ""


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
