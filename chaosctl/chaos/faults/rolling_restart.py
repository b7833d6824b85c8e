"""A rolling restart of the app, as `kubectl rollout restart` makes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from chaosctl.adapters.kube import DEPLOYMENTS
from chaosctl.chaos.cluster import Cluster, Place
from chaosctl.chaos.events import Injected
from chaosctl.chaos.experiment import Aim, FaultPlan
from chaosctl.chaos.faults import workload
from chaosctl.chaos.faults.fault import Fault, Injection, Look

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


class RollingRestart(Fault):
    """Every pod is replaced, at the pace that the Deployment's strategy allows."""

    name = "rolling-restart"
    takes = False
    shows_within = 120.0  # no old pod goes before a new one is ready
    about = "every pod of the app is replaced, at the pace of the Deployment's strategy"

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        workload.guard_rollout(workload.deployment(cluster, place), workload.ready_count(cluster, place), aim)
        return workload.whole_app(self.name, aim, place, cluster)

    def describe(self, plan: FaultPlan) -> str:
        return f"restart {', '.join(victim.name for victim in plan.victims)}, one after the other"

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        if stop():
            return
        name = workload.deployment(cluster, plan.place)["metadata"]["name"]
        stamp = {RESTARTED_AT: datetime.now(UTC).isoformat(timespec="seconds")}
        change = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
        cluster.patch(DEPLOYMENTS, name, change, plan.place.namespace)
        at = time.monotonic()
        for victim in plan.victims:
            yield Injected(at, victim.uid, victim.name)

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        """See Fault. The rollout is to come to its end."""
        return Look(missing=workload.unfinished(workload.deployment(cluster, plan.place)))
