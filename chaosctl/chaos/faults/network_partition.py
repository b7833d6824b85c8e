"""Pods are cut off."""

from collections.abc import Mapping
from typing import Any

from chaosctl.chaos.cluster import Cluster
from chaosctl.chaos.experiment import FaultPlan
from chaosctl.chaos.faults.beside import Lasting
from chaosctl.chaos.faults.network import Network


class NetworkPartition(Network):
    """The helper drops every packet. The pods still hear the others, who hear nothing of them."""

    name = "network-partition"
    about = "pods of the app are cut off for `seconds`: nothing that they send arrives"
    options = Lasting

    def task(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        return {"act": "network", "loss": 100}

    def describe(self, plan: FaultPlan) -> str:
        return f"cut off {', '.join(victim.name for victim in plan.victims)}"
