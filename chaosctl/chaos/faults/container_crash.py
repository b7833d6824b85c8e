"""The main process of the app's container is killed; its pod stays."""

from collections.abc import Mapping
from typing import Any

from chaosctl.chaos.cluster import Cluster
from chaosctl.chaos.experiment import FaultPlan, Sign
from chaosctl.chaos.faults.beside import Beside


class ContainerCrash(Beside):
    """SIGKILL, as the kernel sends it to a process that it cannot give memory to."""

    name = "container-crash"
    about = "the main process of the app's container is killed (SIGKILL), without warning"
    undoes = "nothing to put back: the kubelet restarts the container"
    sign = Sign.RESTARTED
    held = False
    shows_within = 60.0  # a container that has crashed before waits for its next start

    def task(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        return {"act": "crash"}

    def describe(self, plan: FaultPlan) -> str:
        return f"kill the main process in {', '.join(victim.name for victim in plan.victims)}"
