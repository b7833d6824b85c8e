"""Makes EC2 instances real as nodes of their cluster, kills those that are terminated, and tells which are ready."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from chaosctl.errors import ChaosctlError
from chaosctl.lab import gateway, machine_image
from chaosctl.lab.desired import Cluster, Instance, Store
from chaosctl.lab.kube_api import KubeApi
from chaosctl.lab.layout import Layout
from chaosctl.lab.node import Node
from chaosctl.lab.pki import Pki
from chaosctl.lab.supervisor import Supervisor
from chaosctl.lab.tasks import Tasks

log = logging.getLogger(__name__)

NODES = "/api/v1/nodes"


class Nodes:
    """Reconciler of instances. Several nodes start at the same time."""

    name = "nodes"

    def __init__(self, store: Store, layout: Layout, tools: Mapping[str, Path], supervisor: Supervisor) -> None:
        self._store = store
        self._layout = layout
        self._tools = tools
        self._supervisor = supervisor
        self._tasks = Tasks(self.name)
        self._instances: dict[str, Instance] = {}
        self._started: set[str] = set()
        self._ready: dict[str, bool] = {}

    def reconcile(self) -> None:
        """Start nodes for new instances, remove the nodes of those that are gone, watch the others."""
        self._instances = {instance.id: instance for instance in self._store.instances()}
        clusters = {cluster.name: cluster for cluster in self._store.clusters()}
        for directory in self._layout.node("x").parent.glob("i-*"):
            if directory.name not in self._instances:
                self._tasks.start(directory.name, partial(self._remove, directory.name))
        for instance in self._instances.values():
            cluster = clusters.get(instance.cluster)
            if cluster and instance.id not in self._started:
                self._tasks.start(instance.id, partial(self._start, cluster, instance))
        for name in {instance.cluster for instance in self._instances.values()} & clusters.keys():
            if not clusters[name].deleting:
                self._tasks.start(("watch", name), partial(self._watch, name))

    def _start(self, cluster: Cluster, instance: Instance) -> None:
        image = machine_image.ensure(self._layout, self._tools, self._supervisor)
        Node(self._layout, instance.id).start(cluster, instance, self._tools, self._supervisor, image)
        self._started.add(instance.id)

    def _remove(self, instance_id: str) -> None:
        node = Node(self._layout, instance_id)
        record = node.recorded()
        self._started.discard(instance_id)
        node.remove(self._supervisor)
        self._ready.pop(instance_id, None)
        self._store.node_observed(instance_id, ready=False)  # a node group that is being deleted waits for it
        cluster = record.get("cluster", "")
        if (self._layout.cluster(cluster) / "loopback").exists():
            with suppress(ChaosctlError), self._api(cluster) as api:
                # As the cloud controller does for an instance that was terminated.
                api.delete(f"{NODES}/{record['node']}")

    def _watch(self, cluster: str) -> None:
        with self._api(cluster) as api:
            listed = api.get(NODES) or {}
            for item in listed.get("items", ()):
                self._observe(item)
            for event in api.watch(NODES, listed["metadata"]["resourceVersion"]):
                if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                    self._observe(event["object"], deleted=event["type"] == "DELETED")
                elif event["type"] == "ERROR":
                    return  # the version is too old: list again

    def _observe(self, node: Mapping[str, Any], *, deleted: bool = False) -> None:
        instance_id = node["spec"].get("providerID", "").rpartition("/")[2]
        ready = is_ready(node) and not deleted
        if instance_id in self._instances and self._ready.get(instance_id) != ready:
            self._ready[instance_id] = ready
            log.info("node %s is %s", node["metadata"]["name"], "ready" if ready else "not ready")
            self._store.node_observed(instance_id, ready=ready)

    def _api(self, cluster: str) -> KubeApi:
        return KubeApi(gateway.address(self._layout, cluster), Pki.of(self._layout, cluster))


def is_ready(node: Mapping[str, Any]) -> bool:
    """Whether a Node object says Ready."""
    conditions = node.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
