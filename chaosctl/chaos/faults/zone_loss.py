"""All nodes of one availability zone are lost at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any

from chaosctl.chaos.cluster import Cluster, Place
from chaosctl.chaos.experiment import Aim, FaultPlan
from chaosctl.chaos.faults import workload
from chaosctl.chaos.faults.fault import Injection
from chaosctl.chaos.faults.node_drain import cordon, cordons, uncordon
from chaosctl.chaos.faults.node_terminate import NodeTerminate
from chaosctl.chaos.plan import rank


class ZoneLoss(NodeTerminate):
    """All its nodes are cordoned, then their instances terminated."""

    name = "zone-loss"
    about = "all nodes of one availability zone are cordoned and their instances terminated"
    needs = "AWS, and ready nodes in two zones"
    undoes = "uncordons what is left; the auto scaling group replaces the instances"

    def unfit(self, cluster: Cluster, place: Place) -> str:
        zones = {node.zone for node in workload.nodes(cluster)}
        missing = super().unfit(cluster, place)
        return missing or ("" if len(zones) > 1 else "all ready nodes are in one zone: nothing would be left")

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        self.require_fit(cluster, place)
        found = sorted(workload.nodes(cluster), key=lambda node: (node.zone, node.uid))
        zones = [list(group) for _, group in groupby(found, key=lambda node: node.zone)]
        zones.sort(key=lambda group: rank(aim.seed, group[0].zone))
        return self._among(zones, len(found), aim, place, cluster)

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        return cordons(plan)

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        for victim in plan.victims:
            if victim.kind == "Node" and not stop():
                cordon(cluster, victim)
        yield from super().inject(plan, cluster, stop, written)

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        return uncordon(data, cluster)
