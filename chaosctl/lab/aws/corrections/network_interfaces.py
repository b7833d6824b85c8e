"""EC2 network interfaces: real addresses, prefixes for pods, names, and filters that find them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface, NetworkInterfaceBackend
from moto.ec2.models.instances import Instance
from moto.ec2.models.subnets import Subnet
from moto.ec2.responses.elastic_network_interfaces import ElasticNetworkInterfaces

from chaosctl.lab.aws import addressing

PREFIXES_OF_A_NODE = 2  # 32 pod addresses
ADDRESS_FILTERS = ("addresses.private-ip-address", "private-ip-address")


def apply() -> None:
    """Apply all of them."""
    NetworkInterface.ipv4_prefixes = []
    Subnet.last_address = None
    Subnet.get_available_subnet_ip = _address_for
    _addresses_of_interfaces()
    _assignment()
    _filters()
    _instances()


def _taken(subnet: Subnet) -> Iterator[str]:
    yield from subnet._subnet_ips
    for eni in _interfaces(subnet):
        yield from (address["PrivateIpAddress"] for address in eni.private_ip_addresses)


def _prefixes(subnet: Subnet) -> Iterator[str]:
    for eni in _interfaces(subnet):
        yield from (prefix["Ipv4Prefix"] for prefix in eni.ipv4_prefixes)


def _interfaces(subnet: Subnet) -> list[NetworkInterface]:
    return [eni for eni in subnet.ec2_backend.enis.values() if eni.subnet.id == subnet.id]


def _address(subnet: Subnet) -> str:
    address = addressing.next_address(
        IPv4Network(subnet.cidr_block), _taken(subnet), _prefixes(subnet), subnet.last_address
    )
    subnet.last_address = address
    return address


def _address_for(subnet: Subnet, instance: Any) -> str:
    # moto hands out the fourth address, which AWS reserves, and gives a freed one to the next instance at once.
    address = _address(subnet)
    subnet._subnet_ips[address] = instance
    return address


def _addresses_of_interfaces() -> None:
    # Interfaces get random addresses, which collide, may be reserved, or are not even in the subnet.
    create = NetworkInterfaceBackend.create_network_interface

    def create_network_interface(
        self: EC2Backend, subnet: Any, private_ip_address: Any, private_ip_addresses: Any = None, **rest: Any
    ) -> NetworkInterface:
        place = self.get_subnet(subnet) if isinstance(subnet, str) else subnet
        wanted = private_ip_address[0] if isinstance(private_ip_address, list) else private_ip_address
        if not private_ip_addresses and (not wanted or IPv4Address(wanted) not in IPv4Network(place.cidr_block)):
            wanted = _address(place)
        secondary = int(rest.pop("secondary_ips_count", None) or 0)
        eni: NetworkInterface = create(self, place, wanted, private_ip_addresses, **rest)
        _add_secondary(eni, secondary)
        _name(eni)
        return eni

    EC2Backend.create_network_interface = _positional(create_network_interface)


def _positional(create: Any) -> Any:
    names = ("group_ids", "description", "tags", "delete_on_termination")

    def wrapper(self: EC2Backend, subnet: Any, address: Any, addresses: Any = None, *rest: Any, **named: Any) -> Any:
        return create(self, subnet, address, addresses, **dict(zip(names, rest, strict=False)), **named)

    return wrapper


def _add_secondary(eni: NetworkInterface, count: int) -> None:
    for _ in range(count):
        eni.private_ip_addresses.append({"Primary": False, "PrivateIpAddress": _address(eni.subnet)})


def _name(eni: NetworkInterface) -> None:
    # Names end in ec2.internal, which is right in us-east-1 only.
    region = eni.ec2_backend.region_name
    domain = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    for address in eni.private_ip_addresses:
        if "PrivateDnsName" in address:
            address["PrivateDnsName"] = f"ip-{address['PrivateIpAddress'].replace('.', '-')}.{domain}"
            if address["Primary"]:
                eni.private_dns_name = address["PrivateDnsName"]


def add_prefixes(eni: NetworkInterface, count: int = PREFIXES_OF_A_NODE) -> None:
    """Give the interface `count` free /28 prefixes of its subnet. Raises SubnetFull when it has not so many."""
    subnet = eni.subnet
    free = addressing.free_prefixes(IPv4Network(subnet.cidr_block), _taken(subnet), _prefixes(subnet))
    found = list(islice(free, count))
    if len(found) < count:
        raise addressing.SubnetFull(subnet.cidr_block)
    eni.ipv4_prefixes = [*eni.ipv4_prefixes, *({"Ipv4Prefix": prefix} for prefix in found)]


def _assignment() -> None:
    # AssignPrivateIpAddresses knows no prefixes, and takes random addresses.
    assign = ElasticNetworkInterfaces.assign_private_ip_addresses
    unassign = ElasticNetworkInterfaces.unassign_private_ip_addresses

    def assign_private_ip_addresses(self: ElasticNetworkInterfaces) -> ActionResult:
        eni = self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))
        prefixes = self._get_int_param("Ipv4PrefixCount", 0)
        secondary = self._get_int_param("SecondaryPrivateIpAddressCount", 0)
        if not prefixes and not secondary:
            return assign(self)
        before = len(eni.private_ip_addresses), len(eni.ipv4_prefixes)
        add_prefixes(eni, prefixes)
        _add_secondary(eni, secondary)
        return ActionResult(
            {
                "NetworkInterfaceId": eni.id,
                "AssignedPrivateIpAddresses": eni.private_ip_addresses[before[0] :],
                "AssignedIpv4Prefixes": eni.ipv4_prefixes[before[1] :],
            }
        )

    def unassign_private_ip_addresses(self: ElasticNetworkInterfaces) -> ActionResult:
        eni = self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))
        gone = self._get_param("Ipv4Prefixes", [])
        eni.ipv4_prefixes = [prefix for prefix in eni.ipv4_prefixes if prefix["Ipv4Prefix"] not in gone]
        return unassign(self)

    ElasticNetworkInterfaces.assign_private_ip_addresses = assign_private_ip_addresses
    ElasticNetworkInterfaces.unassign_private_ip_addresses = unassign_private_ip_addresses


def _filters() -> None:
    # addresses.private-ip-address sees the first address only: the load balancer controller finds no pod by it.
    value = NetworkInterface.get_filter_value

    def get_filter_value(self: NetworkInterface, filter_name: str, method_name: str | None = None) -> Any:
        if filter_name not in ADDRESS_FILTERS:
            return value(self, filter_name, method_name)
        addresses = [address["PrivateIpAddress"] for address in self.private_ip_addresses]
        for prefix in self.ipv4_prefixes:
            addresses += [str(address) for address in IPv4Network(prefix["Ipv4Prefix"])]
        return addresses

    NetworkInterface.get_filter_value = get_filter_value


def _instances() -> None:
    # The first interface of an instance outlives it, and then its subnet cannot be deleted.
    prepare = Instance.prep_nics

    def prep_nics(self: Instance, nic_spec: list[dict[str, Any]], *args: Any, **named: Any) -> None:
        given = {nic["NetworkInterfaceId"] for nic in nic_spec if nic.get("NetworkInterfaceId")}
        prepare(self, nic_spec, *args, **named)
        for nic in self.nics.values():
            if nic.id not in given:
                nic.delete_on_termination = True

    Instance.prep_nics = prep_nics
