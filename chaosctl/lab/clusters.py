"""Makes EKS clusters real: the VPC's network, the authority, the gateway, the control plane; and removes them."""

from __future__ import annotations

import base64
import logging
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from chaosctl.errors import StageFailed
from chaosctl.events import ignore
from chaosctl.lab import control_plane, gateway, machine_image, network
from chaosctl.lab.desired import Cluster, Store, Vpc
from chaosctl.lab.kube_api import KubeApi
from chaosctl.lab.layout import Layout
from chaosctl.lab.pki import Pki, identities
from chaosctl.lab.supervisor import Supervisor
from chaosctl.lab.tasks import Tasks
from chaosctl.waiting import wait_until

log = logging.getLogger(__name__)

READY_TIMEOUT = 90.0  # seconds; 4 in practice
ATTEMPTS = 3  # before a cluster is called FAILED


class Clusters:
    """Reconciler of clusters and of the networks of their VPCs."""

    name = "clusters"

    def __init__(self, store: Store, layout: Layout, tools: Mapping[str, Path], supervisor: Supervisor) -> None:
        self._store = store
        self._layout = layout
        self._tools = tools
        self._supervisor = supervisor
        self._tasks = Tasks(self.name)
        self._active: set[str] = set()
        self._networks: dict[str, Vpc] = {}

    def reconcile(self) -> None:
        """Start what is missing, remove what is no longer wanted."""
        clusters = self._store.clusters()
        for cluster in clusters:
            if cluster.deleting:
                self._tasks.start(cluster.name, partial(self._delete, cluster))
            elif cluster.name not in self._active:
                self._tasks.start(cluster.name, partial(self._create, cluster))
                self._give_up(cluster.name)
        self._follow_subnets(clusters)
        for name in self._unwanted(clusters):
            self._tasks.start(name, partial(self._remove, name))

    def _create(self, cluster: Cluster) -> None:
        self._ensure_network(cluster)
        loopback = gateway.address(self._layout, cluster.name)
        pki = Pki.of(self._layout, cluster.name)
        pki.ensure(identities(cluster, loopback))
        control_plane.write_files(self._layout, cluster, loopback)
        for make in (control_plane.store, control_plane.api_server, gateway.program):
            self._supervisor.ensure(make(self._layout, cluster, self._tools))
        ca = pki.ca.certificate.read_bytes()
        with KubeApi(loopback, pki) as api:
            wait_until(
                api.ready, f"the API server of {cluster.name}", timeout=READY_TIMEOUT, emit=ignore, interval=0.05
            )
            for program in control_plane.controllers(self._layout, cluster, self._tools):
                self._supervisor.ensure(program)
            api.apply(control_plane.bootstrap_objects(cluster, base64.b64encode(ca).decode()))
        self._store.cluster_observed(cluster.name, "ACTIVE", endpoint=f"https://{loopback}", ca_pem=ca)
        self._active.add(cluster.name)
        self._tasks.start("machine image", self._make_machine_image)

    def _make_machine_image(self) -> None:
        """Ahead of the first node, which would have to wait for it."""
        machine_image.ensure(self._layout, self._tools, self._supervisor)

    def _delete(self, cluster: Cluster) -> None:
        self._remove(cluster.name)
        others = [other for other in self._store.clusters() if other.name != cluster.name]
        if cluster.vpc_id not in {other.vpc_id for other in others}:
            self._networks.pop(cluster.vpc_id, None)
            network.remove_vpc(self._layout, cluster.vpc_id)
        self._store.cluster_gone(cluster.name)

    def _remove(self, name: str) -> None:
        self._active.discard(name)
        self._supervisor.remove_group(control_plane.group(name))
        shutil.rmtree(self._layout.cluster(name), ignore_errors=True)

    def _give_up(self, name: str) -> None:
        if self._tasks.failures(name) == ATTEMPTS:
            self._store.cluster_observed(name, "FAILED")

    def _unwanted(self, clusters: Sequence[Cluster]) -> list[str]:
        """Clusters that exist here but are unknown to AWS, whose state may have been lost."""
        known = {cluster.name for cluster in clusters}
        here = [directory.name for directory in self._layout.cluster("x").parent.glob("*") if directory.is_dir()]
        return [name for name in here if name not in known]

    def _ensure_network(self, cluster: Cluster) -> None:
        sharing = [c.name for c in self._store.clusters() if c.vpc_id == cluster.vpc_id and c.name != cluster.name]
        if sharing:
            # The addresses through which pods reach AWS say which cluster they are of.
            raise StageFailed(
                f"the VPC {cluster.vpc_id} has another cluster",
                code="LAB-VPC-SHARED",
                why=f"{sharing[0]} is there; in the lab a VPC holds one cluster",
                remedy=f"give {cluster.name} a VPC of its own",
            )
        vpc = next((vpc for vpc in self._store.vpcs() if vpc.id == cluster.vpc_id), None)
        if vpc is None:
            raise StageFailed(
                f"the cluster {cluster.name} has no VPC",
                code="LAB-VPC-MISSING",
                why=f"{cluster.vpc_id} does not exist",
                remedy="delete the cluster",
            )
        network.ensure_vpc(self._layout, vpc, [cluster.address])
        self._networks[vpc.id] = vpc

    def _follow_subnets(self, clusters: Sequence[Cluster]) -> None:
        """Subnets may be added to a VPC whose cluster exists."""
        for vpc in self._store.vpcs():
            if self._networks.get(vpc.id, vpc) != vpc:
                network.ensure_vpc(self._layout, vpc, [c.address for c in clusters if c.vpc_id == vpc.id and c.subnets])
                self._networks[vpc.id] = vpc
