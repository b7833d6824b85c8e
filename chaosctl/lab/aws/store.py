"""The lab's AWS as its reconcilers see it: moto's objects turned into plain data, observations written back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.eks.models import eks_backends

from chaosctl.lab.aws.eks import addons
from chaosctl.lab.aws.eks.models import LabCluster, LabEKSBackend
from chaosctl.lab.aws.eks.nodegroups import LabNodegroup
from chaosctl.lab.aws.elbv2 import Elbv2View
from chaosctl.lab.aws.world import LOCK, Changes
from chaosctl.lab.desired import (
    Addon,
    Cluster,
    Instance,
    LoadBalancer,
    PodIdentity,
    Subnet,
    TargetGroup,
    TargetState,
    Vpc,
)


class MotoStore:
    """`desired.Store` over moto, in all regions. Returned data are copies; every method holds the world's lock."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._balancing = Elbv2View()

    # --- what is desired

    def vpcs(self) -> Sequence[Vpc]:
        """Every VPC but the default ones, in which the lab puts nothing."""
        with LOCK:
            return [
                Vpc(vpc.id, vpc.cidr_block, tuple(map(_subnet, backend.describe_subnets(filters={"vpc-id": [vpc.id]}))))
                for _, _, backend in list(ec2_backends.iter_backends())
                for vpc in backend.vpcs.values()
                if not vpc.is_default
            ]

    def clusters(self) -> Sequence[Cluster]:
        """Every cluster, those that are being deleted too."""
        with LOCK:
            return [_cluster(backend, cluster) for backend, cluster in _clusters()]

    def instances(self) -> Sequence[Instance]:
        """The running instances of all node groups."""
        with LOCK:
            return [
                _instance(cluster, group, instance)
                for _, cluster in _clusters()
                for group in cluster.nodegroups.values()
                for instance in group.instances()
            ]

    def addons(self, cluster: str) -> Sequence[Addon]:
        """Add-ons of one cluster; none when there is no such cluster."""
        with LOCK:
            found = _find(cluster)
            return [_addon(record) for record in found.addons.values()] if found else []

    def pod_identities(self, cluster: str) -> Sequence[PodIdentity]:
        """Pod Identity associations of one cluster; none when there is no such cluster."""
        with LOCK:
            found = _find(cluster)
            return [_pod_identity(record) for record in found.pod_identities.values()] if found else []

    def load_balancers(self) -> Sequence[LoadBalancer]:
        """Application load balancers with their listeners and rules."""
        with LOCK:
            return self._balancing.load_balancers()

    def target_groups(self) -> Sequence[TargetGroup]:
        """Target groups of ip targets."""
        with LOCK:
            return self._balancing.target_groups()

    def aliases(self) -> Mapping[str, str]:
        """Aliases of load balancers in Route 53."""
        with LOCK:
            return self._balancing.aliases()

    # --- what was observed

    def cluster_observed(self, name: str, status: str, *, endpoint: str = "", ca_pem: bytes = b"") -> None:
        """ACTIVE or FAILED, with the live endpoint and its authority."""
        with LOCK:
            cluster = _find(name)
            if cluster is not None and cluster.observed(status, endpoint, ca_pem):
                self._changes.announce()

    def cluster_gone(self, name: str) -> None:
        """Forget a cluster that was being deleted."""
        with LOCK:
            for backend, cluster in _clusters():
                if cluster.name == name and cluster.deleting:
                    backend.cluster_gone(name)
                    self._changes.announce()

    def node_observed(self, instance_id: str, *, ready: bool) -> None:
        """Counts towards its node group becoming ACTIVE; a node that left is `ready=False`."""
        with LOCK:
            for _, cluster in _clusters():
                for group in cluster.nodegroups.values():
                    if _note(group, instance_id, ready):
                        _settle(cluster, group)
                        self._changes.announce()

    def addon_observed(self, cluster: str, name: str, status: str, issue: str = "") -> None:
        """ACTIVE, DEGRADED or CREATE_FAILED, and why."""
        with LOCK:
            found = _find(cluster)
            record = found.addons.get(name) if found else None
            if found is None or record is None or record["status"] == "DELETING":
                return
            issues = [{"code": "InsufficientNumberOfReplicas", "message": issue, "resourceIds": []}] if issue else []
            if (record["status"], record["health"]["issues"]) == (status, issues):
                return
            record.update(status=status, health={"issues": issues}, modifiedAt=utcnow())
            if status == "ACTIVE":
                found.settle(name)
            self._changes.announce()

    def addon_gone(self, cluster: str, name: str) -> None:
        """Forget an add-on that was being deleted."""
        with LOCK:
            found = _find(cluster)
            if found and found.addons.get(name, {}).get("status") == "DELETING":
                del found.addons[name]
                self._changes.announce()

    def target_observed(
        self, target_group_arn: str, ip: str, port: int, state: TargetState, reason: str = "", description: str = ""
    ) -> None:
        """What DescribeTargetHealth answers."""
        with LOCK:
            self._balancing.target_observed(target_group_arn, ip, port, state, reason, description)

    def target_drained(self, target_group_arn: str, ip: str, port: int) -> None:
        """Forget a target whose deregistration delay is over."""
        with LOCK:
            self._balancing.target_drained(target_group_arn, ip, port)
            self._changes.announce()

    def load_balancer_observed(self, arn: str, state: str, reason: str = "") -> None:
        """active or failed."""
        with LOCK:
            self._balancing.load_balancer_observed(arn, state, reason)


def _clusters() -> Iterator[tuple[LabEKSBackend, LabCluster]]:
    for _, _, backend in list(eks_backends.iter_backends()):
        for cluster in list(backend.clusters.values()):
            yield backend, cluster


def _find(name: str) -> LabCluster | None:
    return next((cluster for _, cluster in _clusters() if cluster.name == name), None)


def _note(group: LabNodegroup, instance_id: str, ready: bool) -> bool:
    belongs = instance_id in group.ready or any(instance.id == instance_id for instance in group.instances())
    if not belongs or ready == (instance_id in group.ready):
        return False
    group.ready = group.ready | {instance_id} if ready else group.ready - {instance_id}
    return True


def _settle(cluster: LabCluster, group: LabNodegroup) -> None:
    if group.status == "CREATING" and group.settled:
        group.status = "ACTIVE"
    if group.settled:
        cluster.settle(group.nodegroup_name)


def _subnet(subnet: Any) -> Subnet:
    return Subnet(subnet.id, subnet.vpc_id, subnet.availability_zone, subnet.cidr_block)


def _cluster(backend: LabEKSBackend, cluster: LabCluster) -> Cluster:
    network = cluster.resources_vpc_config
    known = {subnet.id: subnet for subnet in backend.ec2.describe_subnets()}
    return Cluster(
        name=cluster.name,
        hex_id=cluster.hex_id,
        arn=cluster.arn,
        region=backend.region_name,
        version=cluster.version,
        vpc_id=network["vpcId"],
        subnets=tuple(_subnet(known[subnet]) for subnet in network["subnetIds"] if subnet in known),
        service_cidr=cluster.kubernetes_network_config["serviceIpv4Cidr"],
        issuer=cluster.identity["oidc"]["issuer"],
        deleting=cluster.deleting,
    )


def _instance(cluster: LabCluster, group: LabNodegroup, instance: Any) -> Instance:
    eni = instance.nics[0]
    return Instance(
        id=instance.id,
        cluster=cluster.name,
        nodegroup=group.nodegroup_name,
        vpc_id=eni.subnet.vpc_id,
        subnet=_subnet(eni.subnet),
        private_ip=instance.private_ip,
        private_dns_name=instance.private_dns_name,
        instance_type=instance.instance_type,
        pod_prefixes=tuple(prefix["Ipv4Prefix"] for prefix in eni.ipv4_prefixes),
        labels={"eks.amazonaws.com/nodegroup": group.nodegroup_name, **group.labels},
        taints=[dict(taint) for taint in group.taints],
    )


def _addon(record: dict[str, Any]) -> Addon:
    return Addon(
        cluster=record["clusterName"],
        name=record["addonName"],
        version=record["addonVersion"],
        configuration=addons.configuration_of(record) or {},
        deleting=record["status"] == "DELETING",
    )


def _pod_identity(record: dict[str, Any]) -> PodIdentity:
    return PodIdentity(
        cluster=record["clusterName"],
        association_id=record["associationId"],
        namespace=record["namespace"],
        service_account=record["serviceAccount"],
        role_arn=record["roleArn"],
    )
