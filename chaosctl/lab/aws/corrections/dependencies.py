"""EC2: what something else still uses cannot be deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models import EC2Backend
from moto.ec2.models.nat_gateways import NatGateway
from moto.eks.models import eks_backends


def apply() -> None:
    """Apply all of them."""
    _used_subnets()
    _used_vpcs()
    _nat_interfaces()


def _used_subnets() -> None:
    # A subnet went although network interfaces were in it, and even under a cluster's control plane.
    delete = EC2Backend.delete_subnet

    def delete_subnet(self: EC2Backend, subnet_id: str) -> Any:
        if subnet_id in _in_use(self):
            raise DependencyViolationError(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
        return delete(self, subnet_id)

    EC2Backend.delete_subnet = delete_subnet


def _in_use(backend: EC2Backend) -> Iterator[str]:
    """Ids of the subnets in which something is."""
    yield from (eni.subnet.id for eni in backend.enis.values())
    for account, region, eks in list(eks_backends.iter_backends()):
        if (account, region) == (backend.account_id, backend.region_name):
            for cluster in eks.clusters.values():
                yield from cluster.resources_vpc_config["subnetIds"]


def _used_vpcs() -> None:
    # A VPC went although it had security groups of somebody, or an internet gateway.
    delete = EC2Backend.delete_vpc

    def delete_vpc(self: EC2Backend, vpc_id: str) -> Any:
        groups = [group for group in self.groups.get(vpc_id, {}).values() if group.name != "default"]
        gateways = [gateway for gateway in self.internet_gateways.values() if _attached_to(gateway, vpc_id)]
        if groups or gateways:
            raise DependencyViolationError(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
        return delete(self, vpc_id)

    EC2Backend.delete_vpc = delete_vpc


def _attached_to(gateway: Any, vpc_id: str) -> bool:
    return gateway.vpc is not None and gateway.vpc.id == vpc_id


def _nat_interfaces() -> None:
    # The interface of a NAT gateway looked unused, and stayed when the gateway went.
    init, delete = NatGateway.__init__, EC2Backend.delete_nat_gateway

    def with_used_interface(self: NatGateway, *args: Any, **named: Any) -> None:
        init(self, *args, **named)
        self._eni.status = "in-use"
        self._eni.requester_managed = True
        self._eni.description = f"Interface for NAT Gateway {self.id}"

    def delete_nat_gateway(self: EC2Backend, nat_gateway_id: str) -> NatGateway:
        gateway: NatGateway = delete(self, nat_gateway_id)
        self.enis.pop(gateway._eni.id, None)
        return gateway

    NatGateway.__init__ = with_used_interface
    EC2Backend.delete_nat_gateway = delete_nat_gateway
