"""What the lab's AWS wants to exist, as plain data. Reconcilers make it real; moto stays behind `Store`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any, Literal, Protocol

TargetState = Literal["initial", "healthy", "unhealthy", "draining", "unused"]


@dataclass(frozen=True)
class Subnet:
    """A subnet; its gateway is the first address of `cidr`."""

    id: str
    vpc_id: str
    az: str  # us-west-2a
    cidr: str


@dataclass(frozen=True)
class Vpc:
    """A VPC with all of its subnets."""

    id: str
    cidr: str
    subnets: tuple[Subnet, ...]


@dataclass(frozen=True)
class Cluster:
    """An EKS cluster. `hex_id` is the 32 hex digits of its OIDC issuer.

    `address` is where its API server listens inside the VPC: the address after the router's and the resolver's in its
    first subnet, which AWS reserves and never gives to an instance.
    """

    name: str
    hex_id: str
    arn: str
    region: str
    version: str  # 1.36
    vpc_id: str
    subnets: tuple[Subnet, ...]  # where its control plane has its network interfaces; fewer when some are gone
    service_cidr: str
    issuer: str  # https://oidc.eks.REGION.amazonaws.com/id/HEX
    deleting: bool = False

    @property
    def address(self) -> str:
        """Its API server's address inside the VPC."""
        return str(IPv4Network(self.subnets[0].cidr)[3])


@dataclass(frozen=True)
class Instance:
    """A running EC2 instance that is a node of a cluster.

    pod_prefixes are the /28 prefixes of its network interface: its pods' addresses.
    """

    id: str
    cluster: str
    nodegroup: str
    vpc_id: str
    subnet: Subnet
    private_ip: str
    private_dns_name: str  # the node's name, ip-10-0-1-2.us-west-2.compute.internal
    instance_type: str
    pod_prefixes: tuple[str, ...]
    labels: Mapping[str, str]
    taints: Sequence[Mapping[str, str]]  # key, value, effect as the EKS API spells them


@dataclass(frozen=True)
class Addon:
    """An EKS add-on; `configuration` is the parsed configurationValues."""

    cluster: str
    name: str
    version: str
    configuration: Mapping[str, Any]
    deleting: bool = False


@dataclass(frozen=True)
class PodIdentity:
    """A Pod Identity association."""

    cluster: str
    association_id: str
    namespace: str
    service_account: str
    role_arn: str


@dataclass(frozen=True)
class HealthCheck:
    """Health check of a target group; times in seconds; `matcher` as in elbv2: 200,202 or 200-299."""

    protocol: str
    port: str  # traffic-port or a number
    path: str
    interval: int
    timeout: int
    healthy_threshold: int
    unhealthy_threshold: int
    matcher: str


@dataclass(frozen=True)
class RegisteredTarget:
    """A target of a target group. `deregistered_at` is a wall-clock time while it drains, else None."""

    ip: str
    port: int
    deregistered_at: float | None = None


@dataclass(frozen=True)
class TargetGroup:
    """A target group of ip targets."""

    arn: str
    name: str
    vpc_id: str
    protocol: str
    port: int
    health_check: HealthCheck
    deregistration_delay: int
    attributes: Mapping[str, str]
    targets: tuple[RegisteredTarget, ...]


@dataclass(frozen=True)
class Rule:
    """A listener rule: conditions and actions as the elbv2 API returns them; `priority` is None for the default."""

    arn: str
    priority: int | None
    conditions: Sequence[Mapping[str, Any]]
    actions: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class TlsPolicy:
    """What a listener negotiates: protocols as TLSv1.2, the newest first; ciphers by OpenSSL's names, best first."""

    protocols: tuple[str, ...]
    ciphers: tuple[str, ...]


@dataclass(frozen=True)
class Listener:
    """A listener, its default rule last. `certificates` are PEM chains with their key, the default first.

    `tls` is that of its security policy, None where it has none; `attributes` as the elbv2 API names them.
    """

    arn: str
    port: int
    protocol: str
    rules: tuple[Rule, ...]
    certificates: tuple[str, ...] = ()
    tls: TlsPolicy | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadBalancer:
    """An application load balancer. `inbound` are the (cidr, port) pairs that its security groups admit."""

    arn: str
    name: str
    dns_name: str
    vpc_id: str
    scheme: str
    attributes: Mapping[str, str]
    listeners: tuple[Listener, ...]
    inbound: tuple[tuple[str, int], ...]


class Store(Protocol):
    """The lab's AWS as its reconcilers see it: desired state to read, observations to write. Safe from any thread."""

    def vpcs(self) -> Sequence[Vpc]:
        """All VPCs."""
        ...

    def clusters(self) -> Sequence[Cluster]:
        """All clusters, those being deleted too."""
        ...

    def instances(self) -> Sequence[Instance]:
        """All running instances that are nodes."""
        ...

    def addons(self, cluster: str) -> Sequence[Addon]:
        """The add-ons of a cluster."""
        ...

    def pod_identities(self, cluster: str) -> Sequence[PodIdentity]:
        """The associations of a cluster."""
        ...

    def load_balancers(self) -> Sequence[LoadBalancer]:
        """All application load balancers."""
        ...

    def target_groups(self) -> Sequence[TargetGroup]:
        """All target groups, with draining targets."""
        ...

    def aliases(self) -> Mapping[str, str]:
        """DNS name of a load balancer by each name that Route 53 has as an alias of one."""
        ...

    def cluster_observed(self, name: str, status: str, *, endpoint: str = "", ca_pem: bytes = b"") -> None:
        """Status is ACTIVE or FAILED. CREATING stays until this is called."""

    def cluster_gone(self, name: str) -> None:
        """Everything of a cluster that was being deleted has been removed from this machine."""

    def node_observed(self, instance_id: str, *, ready: bool) -> None:
        """A node group becomes ACTIVE when as many of its nodes are ready as it desires."""

    def addon_observed(self, cluster: str, name: str, status: str, issue: str = "") -> None:
        """Status is ACTIVE, DEGRADED or CREATE_FAILED."""

    def addon_gone(self, cluster: str, name: str) -> None:
        """An add-on that was being deleted has left the cluster."""

    def target_observed(
        self, target_group_arn: str, ip: str, port: int, state: TargetState, reason: str = "", description: str = ""
    ) -> None:
        """What DescribeTargetHealth answers; reason as in elbv2, for example Target.ResponseCodeMismatch."""

    def target_drained(self, target_group_arn: str, ip: str, port: int) -> None:
        """The deregistration delay is over: forget the target."""

    def load_balancer_observed(self, arn: str, state: str, reason: str = "") -> None:
        """State is active or failed. provisioning stays until this is called."""
