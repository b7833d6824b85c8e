"""Access entries: which principal is which Kubernetes user, in which groups."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from moto.core.utils import utcnow
from moto.eks.exceptions import InvalidParameterException

if TYPE_CHECKING:
    from chaosctl.lab.aws.eks.models import LabEKSBackend

SESSION = "{{SessionName}}"
NODE_NAME = "{{EC2PrivateDNSName}}"
NODE_TYPES = ("EC2_LINUX", "EC2_WINDOWS", "EC2", "HYBRID_LINUX")
POLICIES = (
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSViewPolicy",
)
POLICY_ARN = "arn:aws:eks::aws:cluster-access-policy/"


class AccessEntry:
    """An access entry. `managed` ones were made by EKS for a node group and go with it."""

    def __init__(
        self,
        backend: LabEKSBackend,
        cluster: str,
        principal: str,
        *,
        groups: list[str] | None = None,
        username: str | None = None,
        kind: str = "STANDARD",
        tags: dict[str, str] | None = None,
        managed: bool = False,
    ) -> None:
        account, resource = principal.split(":", 5)[4:]
        sort, short = resource.split("/")[0], resource.split("/")[-1]
        self.cluster_name = cluster
        self.principal_arn = principal
        self.kubernetes_groups = groups or (["system:nodes"] if kind in NODE_TYPES else [])
        self.access_entry_arn = self.arn = backend.arn(
            f"access-entry/{cluster}/{sort}/{account}/{short}/{uuid.uuid4()}"
        )
        self.created_at = self.modified_at = utcnow()
        self.tags = tags or {}
        self.username = username or default_username(principal, kind)
        self.type = kind
        self.managed = managed
        self.policies: dict[str, dict[str, Any]] = {}

    def associate(self, policy_arn: str, scope: dict[str, Any]) -> dict[str, Any]:
        """Grant an access policy, for the cluster or for some namespaces."""
        if policy_arn.removeprefix(POLICY_ARN) not in POLICIES:
            raise InvalidParameterException(
                clusterName=self.cluster_name, message=f"The policyArn parameter format is not valid: {policy_arn}"
            )
        if self.type != "STANDARD":
            raise InvalidParameterException(
                clusterName=self.cluster_name, message=f"Access entries of type {self.type} take no access policies"
            )
        now = utcnow()
        self.policies[policy_arn] = {
            "policyArn": policy_arn,
            "accessScope": scope,
            "associatedAt": now,
            "modifiedAt": now,
        }
        return self.policies[policy_arn]

    def kubernetes_user(self, session_name: str) -> str:
        """The user name for one session, with the template filled in."""
        return self.username.replace(SESSION, session_name)

    def all_groups(self) -> list[str]:
        """Own groups, and one for each access policy: `chaosctl:POLICY`, or `chaosctl:POLICY:NAMESPACE` if scoped."""
        groups = list(self.kubernetes_groups)
        for policy in self.policies.values():
            name = policy["policyArn"].rsplit("/", 1)[-1]
            if policy["accessScope"]["type"] == "cluster":
                groups.append(f"chaosctl:{name}")
            else:
                groups += [f"chaosctl:{name}:{namespace}" for namespace in policy["accessScope"]["namespaces"]]
        return groups


def default_username(principal: str, kind: str = "STANDARD") -> str:
    """The user name that EKS gives when none is asked for."""
    if kind in NODE_TYPES:
        return f"system:node:{NODE_NAME}"
    partition, account, resource = principal.split(":")[1], *principal.split(":", 5)[4:]
    if resource.startswith("role/"):
        return f"arn:{partition}:sts::{account}:assumed-role/{resource.split('/')[-1]}/{SESSION}"
    return principal


def node_entry(backend: LabEKSBackend, cluster: str, role: str) -> AccessEntry:
    """The entry that EKS makes by itself for the role of a managed node group."""
    return AccessEntry(backend, cluster, role, kind="EC2_LINUX", managed=True)


def creator_entry(backend: LabEKSBackend, cluster: str, principal: str) -> AccessEntry:
    """The entry of whoever created the cluster, when that was asked for: administrator of all of it."""
    entry = AccessEntry(backend, cluster, principal)
    entry.associate(POLICY_ARN + "AmazonEKSClusterAdminPolicy", {"type": "cluster", "namespaces": []})
    return entry
