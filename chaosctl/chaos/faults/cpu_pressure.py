"""The app has to share its processors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from chaosctl.chaos.cluster import Cluster
from chaosctl.chaos.experiment import FaultPlan
from chaosctl.chaos.faults.beside import Beside, Lasting


class Options(Lasting):
    """How many processors are kept busy."""

    cpus: float = Field(2.0, gt=0, le=64)


class CpuPressure(Beside):
    """Busy processes inside the app's container. Its limit counts for them and the app together."""

    name = "cpu-pressure"
    about = "processes inside the app's container keep `cpus` processors busy, within its limit"
    options = Options

    def task(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        options: Options = self.told(plan.options)
        return {"act": "cpu", "cpus": options.cpus}

    def describe(self, plan: FaultPlan) -> str:
        options: Options = self.told(plan.options)
        return f"keep {options.cpus:g} processors busy in {', '.join(victim.name for victim in plan.victims)}"
