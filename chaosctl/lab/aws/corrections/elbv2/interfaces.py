"""Network interfaces of load balancers, which moto does not make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moto.ec2.exceptions import DependencyViolationError, EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.subnets import Subnet
from moto.elbv2.exceptions import ELBClientError, LoadBalancerNotFoundError
from moto.elbv2.models import AvailabilityZone, ELBv2Backend

from chaosctl.lab.aws.corrections.elbv2.replace import replace


class LoadBalancerInterface(NetworkInterface):
    """A network interface that a load balancer has in a subnet."""

    load_balancer_arn = ""

    @property
    def attachment(self) -> Any:
        """Attached to no instance but to the service itself, so that nobody else can detach or delete it."""
        return ServiceAttachment(self.id)


class ServiceAttachment:
    """The attachment of a requester-managed network interface; moto serializes its attributes."""

    def __init__(self, interface_id: str) -> None:
        self.attachment_id = interface_id.replace("eni-", "ela-attach-")
        self.delete_on_termination = False
        self.device_index = 1
        self.instance_owner_id = "amazon-elb"
        self.status = "attached"


def apply() -> None:
    """Load balancers had no network interfaces: the VPC below one could be deleted, which AWS refuses."""
    delete_interface = EC2Backend.delete_network_interface
    delete_subnet = EC2Backend.delete_subnet
    delete_group = EC2Backend.delete_security_group
    set_groups = ELBv2Backend.set_security_groups

    def delete_network_interface(self: Any, eni_id: str) -> None:
        if isinstance(self.enis.get(eni_id), LoadBalancerInterface):
            raise EC2ClientError("OperationNotPermitted", f"You are not allowed to manage '{eni_id}'.")
        delete_interface(self, eni_id)

    def delete_subnet_unless_used(self: Any, subnet_id: str) -> Subnet:
        if any(eni.subnet.id == subnet_id for eni in _all_interfaces(self)):
            raise DependencyViolationError(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
        return delete_subnet(self, subnet_id)

    def delete_group_unless_used(self: Any, name: str | None = None, group_id: str | None = None) -> None:
        wanted = {name, group_id} - {None}
        if any({group.id, group.name} & wanted for eni in _all_interfaces(self) for group in eni.group_set):
            raise DependencyViolationError(f"resource {group_id or name} has a dependent object")
        delete_group(self, name, group_id)

    def set_security_groups(self: Any, arn: str, sec_groups: list[str]) -> None:
        set_groups(self, arn, sec_groups)
        for eni in _interfaces_of(self, arn):
            eni._group_set = [self.ec2_backend.get_security_group_from_id(group_id) for group_id in sec_groups]

    replace(
        EC2Backend,
        delete_network_interface=delete_network_interface,
        delete_subnet=delete_subnet_unless_used,
        delete_security_group=delete_group_unless_used,
    )
    replace(ELBv2Backend, set_security_groups=set_security_groups, set_subnets=_set_subnets)


def _all_interfaces(ec2: Any) -> list[Any]:
    return [eni for eni in list(ec2.enis.values()) if isinstance(eni, LoadBalancerInterface)]


def _interfaces_of(backend: Any, arn: str) -> list[Any]:
    return [eni for eni in _all_interfaces(backend.ec2_backend) if eni.load_balancer_arn == arn]


def create_interfaces(backend: Any, balancer: Any) -> None:
    """One in each subnet of a new load balancer."""
    for subnet in balancer.subnets:
        eni = LoadBalancerInterface(
            backend.ec2_backend,
            subnet,
            subnet.get_available_subnet_ip(balancer),
            group_ids=list(balancer.security_groups),
            description="ELB " + balancer.arn.split(":loadbalancer/")[1],
        )
        eni.load_balancer_arn = balancer.arn
        eni.requester_managed = True
        eni.requester_id = "amazon-elb"
        eni.status = "in-use"
        backend.ec2_backend.enis[eni.id] = eni


def delete_interfaces(backend: Any, arn: str) -> None:
    """Of a load balancer that goes."""
    for eni in _interfaces_of(backend, arn):
        eni.subnet.del_subnet_ip(eni.private_ip_address)
        del backend.ec2_backend.enis[eni.id]


def _set_subnets(
    self: Any, arn: str, subnets: Sequence[str], subnet_mappings: Sequence[Mapping[str, Any]]
) -> list[AvailabilityZone]:
    balancer = self.load_balancers.get(arn)
    if balancer is None:
        raise LoadBalancerNotFoundError()
    wanted = [*subnets, *(mapping["SubnetId"] for mapping in subnet_mappings)]
    zones: dict[str, str] = {}
    found = []
    for subnet_id in wanted:
        found.append(self._get_subnet(zones, subnet_id))
        zones[found[-1].availability_zone] = subnet_id
    if len(zones) < 2 and balancer.type == "application":  # one was refused to network load balancers as well
        raise ELBClientError(
            "InvalidConfigurationRequest", "At least two subnets in two different AZs must be specified"
        )
    delete_interfaces(self, arn)
    balancer.subnets = found
    create_interfaces(self, balancer)
    return [AvailabilityZone(subnet) for subnet in found]
