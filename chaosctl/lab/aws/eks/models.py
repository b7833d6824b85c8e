"""EKS as the lab keeps it: what was asked for, and what its reconcilers have observed of it so far."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models import EC2Backend, ec2_backends
from moto.eks import models as base
from moto.eks.exceptions import (
    InvalidParameterException,
    InvalidRequestException,
    ResourceInUseException,
    ResourceNotFoundException,
)

from chaosctl.lab.aws.eks import nodegroups
from chaosctl.lab.aws.eks.access import AccessEntry, node_entry
from chaosctl.lab.aws.eks.versions import DEFAULT_VERSION, KUBERNETES

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


class Update:
    """An asynchronous change. `pending_on` names what must settle before it is Successful."""

    def __init__(self, kind: str, params: dict[str, Any], pending_on: str = "") -> None:
        self.id = str(uuid.uuid4())
        self.type = kind
        self.status = "InProgress" if pending_on else "Successful"
        self.created_at = utcnow()
        self.params = [{"type": key, "value": str(value)} for key, value in params.items()]
        self.errors: list[dict[str, Any]] = []
        self.pending_on = pending_on


class LabCluster(base.Cluster):
    """A cluster: CREATING until its control plane was observed, DELETING until it is gone."""

    def __init__(self, backend: LabEKSBackend, options: dict[str, Any], **given: Any) -> None:
        super().__init__(
            account_id=backend.account_id, region_name=backend.region_name, aws_partition=backend.partition, **given
        )
        self.hex_id = uuid.uuid4().hex.upper()
        self.version = given.get("version") or DEFAULT_VERSION
        self.platform_version = self.platformVersion = "eks.1"
        self.identity = {"oidc": {"issuer": f"https://oidc.eks.{backend.region_name}.amazonaws.com/id/{self.hex_id}"}}
        self.status = "CREATING"
        self.endpoint: str | None = None
        self.certificate_authority: dict[str, str] = {}
        self.health: dict[str, Any] = {"issues": []}
        self.access_config = access_config(options.get("accessConfig") or {})
        self.upgrade_policy = options.get("upgradePolicy") or {"supportType": "EXTENDED"}
        self.zonal_shift_config = options.get("zonalShiftConfig")
        self.deletion_protection = bool(options.get("deletionProtection"))
        self.resources_vpc_config = vpc_config(given["resources_vpc_config"])
        self.kubernetes_network_config = network_config(given.get("kubernetes_network_config") or {})
        self.logging = log_setup(enabled_logs(given.get("logging")))
        self.addons: dict[str, dict[str, Any]] = {}
        self.access_entries: dict[str, AccessEntry] = {}
        self.pod_identities: dict[str, dict[str, Any]] = {}
        self.updates: dict[str, Update] = {}

    @property
    def deleting(self) -> bool:
        """Whether its deletion was asked for."""
        return bool(self.status == "DELETING")

    def observed(self, status: str, endpoint: str, ca_pem: bytes) -> bool:
        """Take over what was observed of the control plane; True when that changed anything."""
        if self.deleting:
            return False
        before = (self.status, self.endpoint, self.certificate_authority)
        self.status = status
        self.endpoint = endpoint or self.endpoint
        if ca_pem:
            self.certificate_authority = {"data": base64.b64encode(ca_pem).decode()}
        return before != (self.status, self.endpoint, self.certificate_authority)

    def start_update(self, kind: str, params: dict[str, Any], pending_on: str = "") -> Update:
        """Record a change, so that DescribeUpdate finds it."""
        update = Update(kind, params, pending_on)
        self.updates[update.id] = update
        return update

    def settle(self, name: str) -> None:
        """What updates were waiting for has been reached."""
        for update in self.updates.values():
            if update.pending_on == name:
                update.status, update.pending_on = "Successful", ""

    def tagged(self) -> Iterator[tuple[str, dict[str, str]]]:
        """(ARN, tags) of the cluster and everything in it."""
        yield self.arn, self.tags
        for group in self.nodegroups.values():
            yield group.arn, group.tags
        for profile in self.fargate_profiles.values():
            yield profile.fargate_profile_arn, profile.tags
        for addon in self.addons.values():
            yield addon["addonArn"], addon["tags"]
        for entry in self.access_entries.values():
            yield entry.arn, entry.tags
        for association in self.pod_identities.values():
            yield association["associationArn"], association["tags"]


def access_config(asked: dict[str, Any]) -> dict[str, Any]:
    """An accessConfig with EKS's defaults filled in."""
    return {
        "authenticationMode": asked.get("authenticationMode") or "CONFIG_MAP",
        "bootstrapClusterCreatorAdminPermissions": asked.get("bootstrapClusterCreatorAdminPermissions") is not False,
    }


def vpc_config(asked: dict[str, Any]) -> dict[str, Any]:
    """A resourcesVpcConfig with EKS's defaults filled in."""
    return {
        "endpointPublicAccess": True,
        "endpointPrivateAccess": False,
        "publicAccessCidrs": ["0.0.0.0/0"],
        "securityGroupIds": [],
        **{key: value for key, value in asked.items() if value is not None},
    }


def network_config(asked: dict[str, Any]) -> dict[str, Any]:
    """A kubernetesNetworkConfig with EKS's defaults filled in."""
    return {
        "serviceIpv4Cidr": "172.20.0.0/16",
        "ipFamily": "ipv4",
        "elasticLoadBalancing": {"enabled": False},
        **{key: value for key, value in asked.items() if value is not None},
    }


def enabled_logs(logging: dict[str, Any] | None, before: frozenset[str] = frozenset()) -> frozenset[str]:
    """The log types that are on after `logging`, as the API takes it, was applied to those that were on `before`."""
    enabled = set(before)
    for entry in (logging or {}).get("clusterLogging", []):
        types = set(entry.get("types", []))
        enabled = enabled | types if entry.get("enabled") else enabled - types
    return frozenset(enabled)


def log_setup(enabled: frozenset[str]) -> dict[str, Any]:
    """Logging as DescribeCluster returns it: the types that are on, then those that are off."""
    groups = (
        {"types": [kind for kind in LOG_TYPES if kind in enabled], "enabled": True},
        {"types": [kind for kind in LOG_TYPES if kind not in enabled], "enabled": False},
    )
    return {"clusterLogging": [group for group in groups if group["types"]]}


class LabEKSBackend(base.EKSBackend):
    """moto's EKS of one region, with desired state in place of instant success."""

    clusters: dict[str, LabCluster]

    @property
    def ec2(self) -> EC2Backend:
        """EC2 of the same account and region."""
        return ec2_backends[self.account_id][self.region_name]

    def arn(self, path: str) -> str:
        """ARN of something in this region's EKS."""
        return f"arn:{self.partition}:eks:{self.region_name}:{self.account_id}:{path}"

    # --- clusters

    def add_cluster(self, options: dict[str, Any], **given: Any) -> LabCluster:
        """CreateCluster; `options` are the members that moto's own class does not know."""
        name = given["name"]
        if name in self.clusters or self._name_taken_elsewhere(name):
            raise ResourceInUseException(clusterName=name, message=base.CLUSTER_EXISTS_MSG.format(clusterName=name))
        base.validate_role_arn(given["role_arn"])
        if (given.get("version") or DEFAULT_VERSION) not in KUBERNETES:
            raise InvalidParameterException(
                clusterName=name, message=f"unsupported Kubernetes version {given['version']}"
            )
        vpc_id = self._vpc_of(name, given["resources_vpc_config"].get("subnetIds") or [])
        cluster = LabCluster(self, options, **given)
        cluster.resources_vpc_config["vpcId"] = vpc_id
        cluster.resources_vpc_config["clusterSecurityGroupId"] = self._add_security_group(cluster, vpc_id)
        self.clusters[name] = cluster
        self.cluster_count += 1
        return cluster

    def _name_taken_elsewhere(self, name: str) -> bool:
        # On this machine a cluster's name is a directory and a supervised group, so it is unique over all regions.
        return any(name in backend.clusters for _, _, backend in base.eks_backends.iter_backends())

    def _vpc_of(self, cluster: str, subnet_ids: list[str]) -> str:
        if not subnet_ids:
            raise InvalidParameterException(clusterName=cluster, message="subnets can not be empty")
        found = {subnet.id: subnet for subnet in self.ec2.describe_subnets() if subnet.id in subnet_ids}
        missing = [subnet_id for subnet_id in subnet_ids if subnet_id not in found]
        if missing:
            raise InvalidParameterException(clusterName=cluster, message=f"The subnet ID '{missing[0]}' does not exist")
        if len({subnet.availability_zone for subnet in found.values()}) < 2:
            raise InvalidParameterException(
                clusterName=cluster, message="Subnets specified must be in at least two different AZs"
            )
        return str(found[subnet_ids[0]].vpc_id)

    def _add_security_group(self, cluster: LabCluster, vpc_id: str) -> str:
        group = self.ec2.create_security_group(
            f"eks-cluster-sg-{cluster.name}-{int(cluster.hex_id[:8], 16)}",
            "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, "
            "as well as any managed workloads.",
            vpc_id,
            tags={
                "Name": f"eks-cluster-sg-{cluster.name}-{int(cluster.hex_id[:8], 16)}",
                f"kubernetes.io/cluster/{cluster.name}": "owned",
                "aws:eks:cluster-name": cluster.name,
            },
        )
        self.ec2.authorize_security_group_ingress(
            group.id, "-1", None, None, [], source_groups=[{"GroupId": group.id}], vpc_id=vpc_id
        )
        return str(group.id)

    def delete_cluster(self, name: str) -> LabCluster:
        """DeleteCluster: it stays, DELETING, until the reconciler says that it is gone."""
        cluster: LabCluster = self.describe_cluster(name)
        if cluster.deletion_protection:
            raise InvalidRequestException(
                clusterName=name, message=f"Cluster {name} has deletion protection enabled; disable it first"
            )
        base.validate_safe_to_delete(cluster)
        if cluster.fargate_profiles:
            raise ResourceInUseException(clusterName=name, message="Cluster has Fargate profiles attached")
        cluster.status = "DELETING"
        return cluster

    def cluster_gone(self, name: str) -> None:
        """Forget a cluster whose processes have ended, and its security group when nothing uses it."""
        cluster = self.clusters.pop(name, None)
        if cluster is None:
            return
        self.cluster_count -= 1
        group = cluster.resources_vpc_config["clusterSecurityGroupId"]
        known = self.ec2.groups.get(cluster.resources_vpc_config["vpcId"], {})
        if group in known and not nodegroups.uses(self.ec2, group):
            self.ec2.delete_security_group(group_id=group)

    def require_active(self, name: str) -> LabCluster:
        """The cluster, or the error that EKS answers while it is not ACTIVE."""
        cluster: LabCluster = self.describe_cluster(name)
        if not cluster.is_active:
            raise InvalidRequestException(clusterName=name, message=base.CLUSTER_NOT_READY_MSG.format(clusterName=name))
        return cluster

    def list_fargate_profiles(self, cluster_name: str, max_results: int, next_token: str | None) -> Any:
        """ListFargateProfiles: moto's own ends in a KeyError where there is no such cluster."""
        self.describe_cluster(cluster_name)
        return super().list_fargate_profiles(cluster_name, max_results, next_token)

    # --- node groups

    def list_nodegroups(self, cluster_name: str, max_results: int, next_token: str | None) -> Any:
        """ListNodegroups: as with Fargate profiles."""
        self.describe_cluster(cluster_name)
        return super().list_nodegroups(cluster_name, max_results, next_token)

    def add_nodegroup(self, options: dict[str, Any], **given: Any) -> nodegroups.LabNodegroup:
        """CreateNodegroup; `options` are the members that moto's own class does not know."""
        cluster = self.require_active(given["cluster_name"])
        name = given["nodegroup_name"]
        if name in cluster.nodegroups:
            raise ResourceInUseException(
                clusterName=cluster.name,
                nodegroupName=name,
                message=base.NODEGROUP_EXISTS_MSG.format(nodegroupName=name, clusterName=cluster.name),
            )
        if given.get("launch_template"):
            base.validate_launch_template_combination(given.get("disk_size"), given.get("remote_access"))
        base.validate_role_arn(given["node_role"])
        group = nodegroups.LabNodegroup(self, cluster, options, **given)
        group.launch()
        cluster.nodegroups[name] = group
        cluster.nodegroup_count += 1
        if group.node_role not in cluster.access_entries:
            cluster.access_entries[group.node_role] = node_entry(self, cluster.name, group.node_role)
        return group

    def delete_nodegroup(self, cluster_name: str, nodegroup_name: str) -> nodegroups.LabNodegroup:
        """DeleteNodegroup: instances go at once, the group when its nodes have left this machine."""
        group: nodegroups.LabNodegroup = self.describe_nodegroup(cluster_name, nodegroup_name)
        group.terminate()
        return group

    def nodegroup_gone(self, cluster_name: str, nodegroup_name: str) -> None:
        """Forget a node group, and the access entry of its role when it was the last one to use that."""
        cluster = self.clusters[cluster_name]
        group = cluster.nodegroups.pop(nodegroup_name)
        cluster.nodegroup_count -= 1
        entry = cluster.access_entries.get(group.node_role)
        shared = any(other.node_role == group.node_role for other in cluster.nodegroups.values())
        if entry is not None and entry.managed and not shared:
            del cluster.access_entries[group.node_role]

    # --- anything

    def find(self, cluster: str, table: str, key: str, what: str) -> Any:
        """Item `key` of a cluster's `table`, or ResourceNotFoundException naming `what` was looked for."""
        items = getattr(self.describe_cluster(cluster), table)
        if key not in items:
            raise ResourceNotFoundException(clusterName=cluster, message=f"No {what} found for: {key}")
        return items[key]

    def tags_of(self, arn: str) -> dict[str, str]:
        """The tags, to change in place, of anything in EKS."""
        for cluster in self.clusters.values():
            for known, tags in cluster.tagged():
                if known == arn:
                    return tags
        raise ResourceNotFoundException(message=f"The specified resource could not be found: {arn}")
