"""What the faults of a pod's network have in common."""

from __future__ import annotations

from chaosctl.adapters.kube import PODS
from chaosctl.chaos.cluster import Cluster, Place
from chaosctl.chaos.faults.beside import Beside


class Network(Beside):
    """The helper leads what a pod sends through itself."""

    of_network = True
    needs = "nodes with /dev/net/tun, pods with IPv4 and a network of their own; helpers: privileged pods"

    def unfit(self, cluster: Cluster, place: Place) -> str:
        """See Fault. What the kernel of a node lacks is known only there: the helper says it."""
        pods = cluster.list(PODS, place.namespace, place.selector)
        if any(pod["spec"].get("hostNetwork") for pod in pods):
            return "the pods have the network of their nodes: all of a node would be hit"
        if any(":" in pod.get("status", {}).get("podIP", "") for pod in pods):
            return "the pods have IPv6 addresses: only IPv4 is led through the helper"
        return super().unfit(cluster, place)
