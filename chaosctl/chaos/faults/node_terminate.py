"""An instance is terminated under its node, without warning."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from chaosctl.adapters.kube import NODES
from chaosctl.adapters.pod import Pod
from chaosctl.chaos.cluster import Cluster, Place
from chaosctl.chaos.events import Injected, NotInjected
from chaosctl.chaos.experiment import Aim, FaultPlan, Victim
from chaosctl.chaos.faults import workload
from chaosctl.chaos.faults.fault import Fault, Injection, Look
from chaosctl.chaos.faults.workload import Node
from chaosctl.chaos.plan import guard_blast_radius
from chaosctl.errors import ChaosctlError, Refused

GONE = {"shutting-down", "terminated", "stopping", "stopped", ""}  # "": AWS has forgotten it


class NodeTerminate(Fault):
    """EC2 TerminateInstances; the auto scaling group starts another one."""

    name = "node-terminate"
    about = "an instance is terminated through the EC2 API; its auto scaling group replaces it"
    needs = "AWS, and two ready nodes"
    undoes = "nothing to put back: the auto scaling group replaces the instance"
    abrupt = True

    def unfit(self, cluster: Cluster, place: Place) -> str:
        if cluster.cloud is None:
            return "this target has no AWS: nobody could be asked to terminate an instance"
        found = workload.nodes(cluster)
        return "" if len(found) > 1 else f"{len(found)} node is ready: the last one is never terminated"

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        self.require_fit(cluster, place)
        found = workload.in_order(aim.seed, workload.nodes(cluster))
        return self._among([[node] for node in found], len(found), aim, place, cluster)

    def _among(
        self, groups: Sequence[Sequence[Node]], nodes: int, aim: Aim, place: Place, cluster: Cluster
    ) -> FaultPlan:
        """The first group of nodes with pods of the app whose loss the guard rails allow."""
        ready = workload.ready_count(cluster, place)

        def guard(lost: Sequence[Pod]) -> None:
            if not aim.consent:
                guard_blast_radius(len(lost), ready)

        group, lost = workload.first_allowed(groups, cluster.pods(place), place, guard)
        return self._of(group, lost, nodes, aim, place, ready)

    def _of(
        self, group: Sequence[Node], lost: Sequence[Pod], nodes: int, aim: Aim, place: Place, ready: int
    ) -> FaultPlan:
        victims = [*(node.victim(f"{nodes} nodes ready") for node in group), *map(Victim.of, lost)]
        return workload.make(self.name, aim, place, victims, ready)

    def describe(self, plan: FaultPlan) -> str:
        lost = [victim.name for victim in plan.victims if victim.kind == "Node"]
        return f"terminate {', '.join(lost)} with {len(plan.victims) - len(lost)} pods of the app"

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        for node in plan.victims:
            if node.kind != "Node" or stop():
                continue
            try:
                self._terminate(node, cluster)
            except ChaosctlError as error:
                yield NotInjected(time.monotonic(), node.uid, node.name, str(error))
                continue
            at = time.monotonic()
            for victim in plan.victims:
                if victim.node == node.name:
                    yield Injected(at, victim.uid, victim.name)

    def _terminate(self, victim: Victim, cluster: Cluster) -> None:
        """The instance behind exactly this node."""
        found = cluster.get(NODES, victim.name)
        if found is None or found["metadata"]["uid"] != victim.uid or cluster.cloud is None:
            raise Refused(f"the node {victim.name} is gone", code="CHAOS-DRIFTED", remedy="make a new plan")
        cluster.cloud.terminate(Node.of(found).instance)

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        """See Fault. A node that is still listed is asked about by its instance."""
        victims = [victim for victim in plan.victims if victim.kind == "Node"]
        listed = {node.uid: node for node in map(Node.of, cluster.list(NODES))}
        proved = {v.uid: text for v in victims if (text := _evidence(listed.get(v.uid), cluster))}
        ready, wanted = sum(n.ready and n.uid not in proved for n in listed.values()), int(victims[0].before.split()[0])
        return Look(proved, "" if ready >= wanted else f"{ready} of {wanted} nodes are ready")


def _evidence(node: Node | None, cluster: Cluster) -> str:
    if node is None:
        return "the node is gone"
    state = cluster.cloud.state(node.instance) if cluster.cloud else "running"
    return f"{node.instance} is {state or 'gone'}" if state in GONE else ""
