"""The load balancer asks targets for a path that none of them has: only its own check fails, the pods are well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import Field

from chaosctl.adapters.kube import TARGET_GROUP_BINDINGS, NotFound
from chaosctl.chaos.cluster import Cluster, Object, Place
from chaosctl.chaos.events import Injected
from chaosctl.chaos.experiment import Aim, FaultPlan, Sign, Victim
from chaosctl.chaos.faults import fault, workload
from chaosctl.chaos.faults.fault import Fault, Injection, Look
from chaosctl.errors import Refused


class Options(fault.Options):
    """The path, and for how many seconds."""

    path: str = Field("/no-such-path", pattern="^/[!-~]*$", max_length=1024)
    seconds: float = Field(60.0, ge=0, le=1800)


class HealthCheckPath(Fault):
    """ModifyTargetGroup, as somebody does who mistypes it."""

    name = "health-check-path"
    about = "the load balancer checks its targets at another `path`, which does not exist, for `seconds`"
    needs = "AWS, and a target group of the load balancer controller's for the app"
    undoes = "the path, unless someone else has set another one since"
    shows_within = 60.0  # two checks, a quarter of a minute apart at most
    options = Options

    def unfit(self, cluster: Cluster, place: Place) -> str:
        if cluster.cloud is None:
            return "this target has no AWS: there is no target group"
        return "" if _bindings(cluster, place) else f"no TargetGroupBinding in the namespace {place.namespace}"

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        """See Fault. No guard rail: no pod is ended, and without a healthy target a load balancer sends to all."""
        options: Options = self.told(aim.options)
        self.require_fit(cluster, place)
        ready = workload.ready_count(cluster, place)
        binding, path = _bindings(cluster, place)[0], ""
        if cluster.cloud:
            path = cluster.cloud.check_path(_group(binding))
        if path in ("", options.path):
            raise Refused(
                f"targets cannot be checked at another path than {path or 'none'}",
                code="CHAOS-NO-CANDIDATES",
                why="its target group is gone, or its checks ask for no path, or for that one already",
                remedy="choose another `path`; `chaosctl app` puts the app's own one back",
            )
        meta = binding["metadata"]
        kind, where = "TargetGroupBinding", meta["namespace"]
        victim = Victim(meta["uid"], meta["name"], "", "", "", "", kind, where, sign=Sign.CHANGED, before=path)
        return workload.make(self.name, aim, place, (victim,), ready, held=True)

    def describe(self, plan: FaultPlan) -> str:
        (victim,) = plan.victims
        return f"check the targets of {victim.name} at {self.told(plan.options).path}, not at {victim.before}"

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        (victim,) = plan.victims
        binding = cluster.get(TARGET_GROUP_BINDINGS, victim.name, plan.place.namespace)
        if binding is None or binding["metadata"]["uid"] != victim.uid:
            raise Refused("the target group is another one", code="CHAOS-DRIFTED", remedy="make a new plan")
        return {"group": _group(binding), "original": victim.before, "injected": self.told(plan.options).path}

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        if stop() or cluster.cloud is None:
            return
        cluster.cloud.check_at(written["group"], written["injected"])
        (victim,) = plan.victims
        yield Injected(time.monotonic(), victim.uid, victim.name)

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        """See Fault. What proves it is a target that the load balancer finds unhealthy."""
        (victim,) = plan.victims
        binding = cluster.get(TARGET_GROUP_BINDINGS, victim.name, plan.place.namespace)
        if binding is None or cluster.cloud is None:
            return Look()
        states = cluster.cloud.health(_group(binding))
        bad = sum(state == "unhealthy" for state in states)
        return Look({victim.uid: f"{bad} of {len(states)} targets are unhealthy"} if bad else {})

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        if cluster.cloud is None:
            return "nothing to put back: there is no AWS"
        path = cluster.cloud.check_path(data["group"])
        if path != data["injected"]:
            return f"nothing to put back: targets are checked at {path or 'no path'}, not at the injected one"
        cluster.cloud.check_at(data["group"], data["original"])
        return f"targets are checked at {data['original']} again"


def _bindings(cluster: Cluster, place: Place) -> list[Object]:
    """The controller's objects for the app's target groups, each with the ARN of one."""
    try:
        found = cluster.list(TARGET_GROUP_BINDINGS, place.namespace)
    except NotFound:  # the cluster has no such kind: the controller was never installed
        return []
    return sorted(found, key=lambda binding: str(binding["metadata"]["name"]))


def _group(binding: Object) -> str:
    return str(binding["spec"]["targetGroupARN"])
