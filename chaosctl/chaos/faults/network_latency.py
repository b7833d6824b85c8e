"""What pods send arrives late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from chaosctl.chaos.cluster import Cluster
from chaosctl.chaos.experiment import FaultPlan
from chaosctl.chaos.faults.beside import Lasting
from chaosctl.chaos.faults.network import Network


class Options(Lasting):
    """Milliseconds that each packet waits, and by up to how many more or less."""

    milliseconds: float = Field(100.0, gt=0, le=10_000)
    jitter: float = Field(0.0, ge=0, le=10_000)


class NetworkLatency(Network):
    """Each packet waits in the helper."""

    name = "network-latency"
    about = "each packet that pods of the app send waits `milliseconds`, more or less by up to `jitter`"
    options = Options

    def task(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        options: Options = self.told(plan.options)
        return {"act": "network", "delay": options.milliseconds, "jitter": options.jitter}

    def describe(self, plan: FaultPlan) -> str:
        options: Options = self.told(plan.options)
        victims = ", ".join(victim.name for victim in plan.victims)
        return f"delay by {options.milliseconds:g} ms what {victims} sends"
