"""A part of what pods send is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from chaosctl.chaos.cluster import Cluster
from chaosctl.chaos.experiment import FaultPlan
from chaosctl.chaos.faults.beside import Lasting
from chaosctl.chaos.faults.network import Network


class Options(Lasting):
    """How many of the packets, in per cent."""

    percent: float = Field(10.0, gt=0, lt=100)


class NetworkLoss(Network):
    """The helper drops packets, each by chance."""

    name = "network-loss"
    about = "`percent` of the packets that pods of the app send are lost, by chance"
    options = Options

    def task(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        options: Options = self.told(plan.options)
        return {"act": "network", "loss": options.percent}

    def describe(self, plan: FaultPlan) -> str:
        options: Options = self.told(plan.options)
        return f"lose {options.percent:g} % of what {', '.join(victim.name for victim in plan.victims)} sends"
