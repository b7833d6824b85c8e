"""No name is answered in the cluster for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import Field

from chaosctl.adapters.kube import DEPLOYMENTS
from chaosctl.chaos.cluster import Cluster, Object, Place
from chaosctl.chaos.events import Injected
from chaosctl.chaos.experiment import Aim, FaultPlan
from chaosctl.chaos.faults import fault, workload
from chaosctl.chaos.faults.fault import Fault, Injection, Look
from chaosctl.chaos.faults.scale import require_replicas, restore_replicas
from chaosctl.chaos.faults.system_pods import SYSTEM

LABELS = "k8s-app=kube-dns"


class Options(fault.Options):
    """For how many seconds."""

    seconds: float = Field(15.0, ge=0, le=600)


class DnsFailure(Fault):
    """CoreDNS is scaled to nothing."""

    name = "dns-failure"
    about = "CoreDNS is scaled to nothing for `seconds`: no name is answered in the cluster"
    needs = "CoreDNS as a Deployment in kube-system"
    undoes = "the replica count of CoreDNS"
    options = Options

    def unfit(self, cluster: Cluster, place: Place) -> str:
        return "" if _coredns(cluster) else f"no Deployment in {SYSTEM} has the labels {LABELS}"

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        self.told(aim.options)
        self.require_fit(cluster, place)
        found = _coredns(cluster)
        assert found is not None
        victim = workload.as_victim(found, str(found["spec"].get("replicas", 1)), SYSTEM)
        return workload.make(self.name, aim, place, (victim,), workload.ready_count(cluster, place), held=True)

    def describe(self, plan: FaultPlan) -> str:
        return f"scale {plan.victims[0].name} to nothing"

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        (victim,) = plan.victims
        kept = {"namespace": SYSTEM, "deployment": victim.name, "uid": victim.uid}
        return {**kept, "original": int(victim.before), "injected": 0}

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        if stop():
            return
        (victim,) = plan.victims
        require_replicas(written, cluster)
        cluster.patch(DEPLOYMENTS, victim.name, {"spec": {"replicas": written["injected"]}}, SYSTEM)
        yield Injected(time.monotonic(), victim.uid, victim.name)

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        (victim,) = plan.victims
        found = _coredns(cluster)
        left = found.get("status", {}).get("readyReplicas", 0) if found else 0
        missing = "" if left >= int(victim.before) else f"{left} of {victim.before} DNS servers are ready"
        return Look({victim.uid: f"{victim.before} -> 0 DNS servers"} if left == 0 else {}, missing)

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        return restore_replicas(data, cluster)


def _coredns(cluster: Cluster) -> Object | None:
    return next(iter(cluster.list(DEPLOYMENTS, SYSTEM, LABELS)), None)
