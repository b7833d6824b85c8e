"""Makes EKS add-ons real: as pods, or as programs beside the cluster that do what the add-on's pods do.

What the lab does in another way is active at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jinja2

from chaosctl.adapters import yaml_text
from chaosctl.events import ignore
from chaosctl.lab import gateway, images
from chaosctl.lab.desired import Addon, Cluster, Store
from chaosctl.lab.kube_api import KubeApi, Object, path_of
from chaosctl.lab.layout import Layout
from chaosctl.lab.nodes import NODES, is_ready
from chaosctl.lab.pki import Pki, dns_address
from chaosctl.lab.shipper.program import program as log_shipper
from chaosctl.lab.supervisor import Program, Supervisor
from chaosctl.lab.tasks import Tasks
from chaosctl.waiting import TimedOut, wait_until

log = logging.getLogger(__name__)

MANIFESTS = Path(__file__).parent / "manifests"
NODES_TIMEOUT = 60.0  # seconds after which pods have to do with the nodes that there are
READY_TIMEOUT = 900.0  # seconds before an add-on is called DEGRADED; pods wait for the first node


@dataclass(frozen=True)
class Workload:
    """An add-on that is a deployment of the same name in kube-system."""

    image: str
    replicas: int
    replicas_key: str  # of configurationValues


WORKLOADS = {
    "coredns": Workload(images.COREDNS, 2, "replicaCount"),
    "metrics-server": Workload(images.METRICS_SERVER, 1, "replicas"),
}

PROGRAMS: Mapping[str, Sequence[Callable[[Layout, Cluster], Program]]] = {
    "amazon-cloudwatch-observability": (log_shipper,),
}


def manifests(addon: Addon, cluster: Cluster) -> Sequence[Object]:
    """The objects of an add-on; none for one that the lab does otherwise (kube-proxy, vpc-cni, ...)."""
    file = MANIFESTS / f"{addon.name}.yaml"
    if not file.exists():
        return ()
    values: dict[str, Any] = {"dns_address": dns_address(cluster.service_cidr)}
    if workload := WORKLOADS.get(addon.name):
        replicas = addon.configuration.get(workload.replicas_key, workload.replicas)
        values |= {"image": workload.image, "replicas": replicas}
    text = jinja2.Template(file.read_text(), undefined=jinja2.StrictUndefined).render(values)
    return tuple(yaml_text.read_all(text))


def programs(addon: Addon, cluster: Cluster, layout: Layout) -> Sequence[Program]:
    """What runs for an add-on beside the cluster."""
    return [make(layout, cluster) for make in PROGRAMS.get(addon.name, ())]


def unready(deployment: Mapping[str, Any]) -> str:
    """Why a deployment is not complete, empty when it is."""
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return "not looked at yet"
    if status.get("updatedReplicas", 0) < wanted or status.get("availableReplicas", 0) < wanted:
        return f"{status.get('availableReplicas', 0)} of {wanted} pods are available"
    return ""


class Addons:
    """Reconciler of add-ons."""

    name = "addons"

    def __init__(self, store: Store, layout: Layout, tools: Mapping[str, Path], supervisor: Supervisor) -> None:
        self._store = store
        self._layout = layout
        self._supervisor = supervisor
        self._tasks = Tasks(self.name)
        self._done: dict[tuple[str, str], Addon] = {}  # by cluster (another one may get its name) and add-on

    def reconcile(self) -> None:
        """Apply what is new or changed, remove what is being deleted."""
        for cluster in self._store.clusters():
            if cluster.deleting or not (self._layout.cluster(cluster.name) / "loopback").exists():
                continue
            for addon in self._store.addons(cluster.name):
                key = (cluster.hex_id, addon.name)
                if addon.deleting or self._done.get(key) != addon:
                    work = self._remove if addon.deleting else self._apply
                    self._tasks.start(key, partial(work, cluster, addon))

    def _apply(self, cluster: Cluster, addon: Addon) -> None:
        objects = manifests(addon, cluster)
        problem = ""
        if objects:
            with self._api(cluster) as api:
                if addon.name in WORKLOADS:
                    self._wait_for_nodes(api, cluster)
                api.apply(objects)
                if addon.name in WORKLOADS:
                    problem = self._wait(api, cluster, addon)
        for program in programs(addon, cluster, self._layout):
            self._supervisor.ensure(program)
        if not self._wanted(cluster, addon):
            return  # what has its name by now is another one
        self._store.addon_observed(cluster.name, addon.name, "DEGRADED" if problem else "ACTIVE", problem)
        self._done[cluster.hex_id, addon.name] = addon

    def _wait_for_nodes(self, api: KubeApi, cluster: Cluster) -> None:
        """Until all nodes of the cluster are ready: pods that come before the second node all land on the first."""

        def ready() -> tuple[bool, str]:
            expected = sum(instance.cluster == cluster.name for instance in self._store.instances())
            found = sum(map(is_ready, (api.get(NODES) or {}).get("items", ())))
            return 0 < expected <= found, f"{found} of {expected} nodes are ready"

        with suppress(TimedOut):
            wait_until(ready, "all nodes are ready", timeout=NODES_TIMEOUT, emit=ignore, interval=0.3)

    def _wait(self, api: KubeApi, cluster: Cluster, addon: Addon) -> str:
        path = f"/apis/apps/v1/namespaces/kube-system/deployments/{addon.name}"

        def complete() -> tuple[bool, str]:
            if not self._wanted(cluster, addon):
                return True, ""
            deployment = api.get(path)
            problem = unready(deployment) if deployment else "its deployment is gone"
            return not problem, problem

        try:
            wait_until(complete, f"the add-on {addon.name}", timeout=READY_TIMEOUT, emit=ignore, interval=0.3)
        except TimedOut as error:
            return error.detail
        return ""

    def _wanted(self, cluster: Cluster, addon: Addon) -> bool:
        """Whether the add-on is still as it was: else there is nothing to wait for."""
        return addon in self._store.addons(cluster.name) and cluster in self._store.clusters()

    def _remove(self, cluster: Cluster, addon: Addon) -> None:
        self._supervisor.remove(*(program.name for program in programs(addon, cluster, self._layout)))
        with self._api(cluster) as api:
            for item in reversed(manifests(addon, cluster)):
                api.delete(path_of(item))
        self._done.pop((cluster.hex_id, addon.name), None)
        self._store.addon_gone(cluster.name, addon.name)

    def _api(self, cluster: Cluster) -> KubeApi:
        return KubeApi(gateway.address(self._layout, cluster.name), Pki.of(self._layout, cluster.name))
