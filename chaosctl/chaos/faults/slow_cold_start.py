"""New processes of the app take long to start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import Field

from chaosctl.chaos.cluster import Cluster, Object, Place
from chaosctl.chaos.events import Injected
from chaosctl.chaos.experiment import Aim, FaultPlan
from chaosctl.chaos.faults import fault, template, workload
from chaosctl.chaos.faults.fault import Fault, Injection, Look

VARIABLE = "chaosctl.dev/cold-start-variable"  # annotation of a template that offers it: shortest,longest in seconds


class Options(fault.Options):
    """How many seconds a start takes."""

    cold_start: float = Field(15.0, gt=0, le=170)


class SlowColdStart(Fault):
    """The app is rolled out with long cold starts, then again with its own."""

    name = "slow-cold-start"
    takes = False
    about = "the app is rolled out with cold starts of `cold_start` seconds"
    needs = f"a pod template with the annotation {VARIABLE}"
    undoes = "the variable, by a second rollout"
    aftermath = True
    shows_within = 300.0  # no old pod goes before a new one is ready
    options = Options

    def unfit(self, cluster: Cluster, place: Place) -> str:
        offered = _variable(workload.deployment(cluster, place))
        return "" if offered else f"this backend cannot be told how to start: no annotation {VARIABLE}"

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        self.told(aim.options)
        self.require_fit(cluster, place)
        workload.guard_rollout(workload.deployment(cluster, place), workload.ready_count(cluster, place), aim)
        return workload.whole_app(self.name, aim, place, cluster)

    def describe(self, plan: FaultPlan) -> str:
        options: Options = self.told(plan.options)
        return f"replace {len(plan.victims)} pods by some that take {options.cold_start:g} s to start"

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        options: Options = self.told(plan.options)
        found = workload.deployment(cluster, plan.place)
        name = _variable(found)
        kept = [entry for entry in template.container(found).get("env") or () if entry["name"] != name]
        wanted = {"name": name, "value": f"{options.cold_start:g},{options.cold_start:g}"}
        return template.change(found, plan.place, "env", [*kept, wanted])

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        if stop():
            return
        template.make(written, cluster)
        at = time.monotonic()
        for victim in plan.victims:
            yield Injected(at, victim.uid, victim.name)

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        """See Fault. Both rollouts, there and back, are to come to their end."""
        return Look(missing=workload.unfinished(workload.deployment(cluster, plan.place)))

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        return template.put_back(data, cluster)


def _variable(deployment: Object) -> str:
    annotations = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    return str(annotations.get(VARIABLE, ""))
