"""The app has little memory left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from chaosctl.adapters.kube import PODS
from chaosctl.chaos.cluster import Cluster, Place
from chaosctl.chaos.experiment import FaultPlan
from chaosctl.chaos.faults.beside import Beside, Lasting


class Options(Lasting):
    """To how much of its limit the container's use is brought, in per cent."""

    percent: float = Field(90.0, gt=0, le=99)


class MemoryPressure(Beside):
    """A process inside the app's container has the memory; if all is used up it is killed before the app."""

    name = "memory-pressure"
    about = "a process inside the app's container brings its use of memory to `percent` of the limit"
    needs = "a memory limit on the app's container; helpers: privileged pods"
    options = Options

    def unfit(self, cluster: Cluster, place: Place) -> str:
        containers = [pod["spec"]["containers"][0] for pod in cluster.list(PODS, place.namespace, place.selector)]
        if not all("memory" in ((c.get("resources") or {}).get("limits") or {}) for c in containers):
            return "the app's container has no memory limit: the whole node would come under pressure"
        return super().unfit(cluster, place)

    def task(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        options: Options = self.told(plan.options)
        return {"act": "memory", "percent": options.percent}

    def describe(self, plan: FaultPlan) -> str:
        options: Options = self.told(plan.options)
        return f"fill {options.percent:g} % of the memory of {', '.join(victim.name for victim in plan.victims)}"
