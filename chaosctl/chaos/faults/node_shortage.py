"""The node group becomes one node smaller than it may be, and stays so for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import Field

from chaosctl.adapters.kube import NODES
from chaosctl.chaos.cluster import Cluster, Place
from chaosctl.chaos.events import Injected
from chaosctl.chaos.experiment import Aim, FaultPlan
from chaosctl.chaos.faults import fault, workload
from chaosctl.chaos.faults.fault import Fault, Injection, Look
from chaosctl.chaos.faults.workload import Node
from chaosctl.chaos.plan import guard_blast_radius
from chaosctl.errors import Refused


class Options(fault.Options):
    """For how many seconds."""

    seconds: float = Field(15.0, ge=0, le=1800)


class NodeShortage(Fault):
    """UpdateNodegroupConfig with one node less, as if the cloud had none to give."""

    name = "node-shortage"
    about = "the node group is made one node smaller for `seconds`"
    needs = "AWS, and two ready nodes of a managed node group"
    undoes = "the sizes of the node group"
    options = Options

    def unfit(self, cluster: Cluster, place: Place) -> str:
        if cluster.cloud is None:
            return "this target has no AWS: nobody could be asked for fewer nodes"
        found = workload.nodes(cluster)
        if len(found) < 2:
            return f"{len(found)} node is ready: the last one is never taken"
        return "" if cluster.cloud.group_of(found[0].instance) else "its nodes are in no managed node group"

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        """See Fault. Which node goes, the auto scaling group decides: all are possible victims, one will show it."""
        self.told(aim.options)
        self.require_fit(cluster, place)
        found = workload.nodes(cluster)
        ready = workload.ready_count(cluster, place)
        if not aim.consent:
            guard_blast_radius(_most(place, cluster), ready)
        victim = workload.in_order(aim.seed, found)[0].victim(f"{len(found)} nodes")
        return workload.make(self.name, aim, place, (victim,), ready, held=True)

    def unnamed(self, plan: FaultPlan, cluster: Cluster) -> int:
        return _most(plan.place, cluster)

    def describe(self, plan: FaultPlan) -> str:
        return f"make the node group of {plan.victims[0].name} one node smaller"

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        found = cluster.get(NODES, plan.victims[0].name)
        group = cluster.cloud.group_of(Node.of(found).instance) if found and cluster.cloud else None
        if group is None:
            raise Refused("the node is gone", code="CHAOS-DRIFTED", remedy="make a new plan")
        least, wanted = group.least, group.wanted
        return {"cluster": group.cluster, "group": group.name, "least": least, "wanted": wanted}

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        if stop() or cluster.cloud is None:
            return
        if self.undo_data(plan, cluster) != written:
            raise Refused("the node group has other sizes by now", code="CHAOS-DRIFTED", remedy="run it again")
        fewer = written["wanted"] - 1
        cluster.cloud.resize(written["cluster"], written["group"], min(written["least"], fewer), fewer)
        (victim,) = plan.victims
        yield Injected(time.monotonic(), victim.uid, victim.name)

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        """See Fault. What proves it is that there are fewer nodes."""
        (victim,) = plan.victims
        ready, before = len(workload.nodes(cluster)), int(victim.before.split()[0])
        fewer = {victim.uid: f"{ready} of {before} nodes are left"} if ready < before else {}
        return Look(fewer, "" if ready >= before else f"{ready} of {before} nodes are ready")

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        if cluster.cloud is None:
            return "nothing to put back: there is no AWS"
        cluster.cloud.resize(data["cluster"], data["group"], data["least"], data["wanted"])
        return f"the node group {data['group']} has {data['wanted']} nodes again"


def _most(place: Place, cluster: Cluster) -> int:
    """How many pods of the app can go with one node."""
    pods = cluster.pods(place)
    return max((len(workload.pods_on(pods, [node.name], place)) for node in workload.nodes(cluster)), default=0)
