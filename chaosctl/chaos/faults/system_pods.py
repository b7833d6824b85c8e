"""What the faults that kill pods of the cluster itself have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from chaosctl.chaos import plan as plans
from chaosctl.chaos.cluster import Cluster, Place
from chaosctl.chaos.experiment import Aim, FaultPlan, Mode
from chaosctl.chaos.faults import workload
from chaosctl.chaos.faults.fault import Fault, Injection
from chaosctl.chaos.faults.pod_kill import PodKill

SYSTEM = "kube-system"


class SystemPodKill(Fault):
    """Forced deletion of pods in kube-system. These are the only ones outside the app's namespace that are ever hit."""

    selector: ClassVar[str]
    deletes = True

    def elsewhere(self, place: Place) -> Place:
        """Where its victims are."""
        return replace(place, namespace=SYSTEM, selector=self.selector)

    def unfit(self, cluster: Cluster, place: Place) -> str:
        found = cluster.pods(self.elsewhere(place))
        return "" if found else f"no pod in {SYSTEM} has the labels {self.selector}"

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        """See Fault. The last one may be killed with consent only; its PodDisruptionBudget counts."""
        self.require_fit(cluster, place)
        there = self.elsewhere(place)
        chosen = plans.select(
            replace(aim, mode=Mode.FORCED), there, cluster.pods(there), cluster.budgets(there)
        ).victims
        victims = [replace(victim, namespace=SYSTEM) for victim in chosen]
        ready = workload.ready_count(cluster, place)
        return replace(workload.make(self.name, aim, place, victims, ready, also=(there,)), mode=Mode.FORCED)

    def describe(self, plan: FaultPlan) -> str:
        return f"kill {', '.join(victim.name for victim in plan.victims)} in {SYSTEM}"

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        """See Fault. As pods of the app are killed, elsewhere."""
        yield from PodKill().inject(replace(plan, place=self.elsewhere(plan.place)), cluster, stop, written)
