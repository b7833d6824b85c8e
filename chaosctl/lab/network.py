"""The lab's VPCs: a network namespace per VPC, a bridge per availability zone, a namespace per instance.

The VPC's namespace is its router. An instance sends everything there, even what is for its own subnet, as in AWS; that
is why pods of one subnet reach each other although their prefixes lie inside the subnet. Nothing leads out of the
machine. All functions here are idempotent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from chaosctl.lab import namespaces
from chaosctl.lab.desired import Instance, Subnet, Vpc
from chaosctl.lab.layout import AWS_IN_VPC, POD_IDENTITY_IN_VPC, Layout

SYSCTLS: Mapping[str, str] = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/send_redirects": "0",  # a router that sends packets back where they came from says so otherwise
    "net/ipv4/conf/default/send_redirects": "0",
    "net/ipv4/conf/all/accept_redirects": "0",
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
}
_MAIN_TABLE = 254


@dataclass(frozen=True)
class Interface:
    """A bridge and the addresses (with prefix length) that it has as a router."""

    name: str
    addresses: tuple[str, ...]


def bridge(az: str) -> str:
    """Name of an availability zone's bridge, within the 15 characters that the kernel allows."""
    return f"br-{az[-12:]}"


def gateway(subnet: Subnet) -> str:
    """Address of the router in a subnet: the first one, as in AWS."""
    return str(IPv4Network(subnet.cidr)[1])


def veth(instance_id: str) -> str:
    """Name of the router's end of an instance's cable."""
    return f"v-{instance_id[-12:]}"


def bridges(subnets: Iterable[Subnet]) -> tuple[Interface, ...]:
    """The bridges of a VPC with the gateway addresses of their subnets, in the order of the zones."""
    by_zone: dict[str, list[str]] = {}
    for subnet in subnets:
        length = IPv4Network(subnet.cidr).prefixlen
        by_zone.setdefault(bridge(subnet.az), []).append(f"{gateway(subnet)}/{length}")
    return tuple(Interface(name, tuple(sorted(addresses))) for name, addresses in sorted(by_zone.items()))


def ensure_vpc(layout: Layout, vpc: Vpc, addresses: Iterable[str] = ()) -> str:
    """Make the namespace of a VPC, with `addresses` beside those of the lab's AWS, and return its name."""
    name = layout.vpc_netns(vpc.id)
    namespaces.create_network(name)
    local = (AWS_IN_VPC, POD_IDENTITY_IN_VPC, *addresses)
    namespaces.in_network(name, partial(_set_up_router, bridges(vpc.subnets), local))
    return name


def remove_vpc(layout: Layout, vpc_id: str) -> None:
    """Remove the namespace of a VPC and all that is in it."""
    namespaces.delete_network(layout.vpc_netns(vpc_id))


def ensure_instance(layout: Layout, instance: Instance) -> str:
    """Make the namespace of an instance, cable it to its VPC, route its pods there, and return its name.

    Raises OSError when the VPC's namespace is not there.
    """
    name = layout.node_netns(instance.id)
    router = layout.vpc_netns(instance.vpc_id)
    namespaces.create_network(name)
    if not namespaces.in_network(name, partial(_link, "eth0")):
        # Made from inside the VPC: no end of it is ever visible among the machine's own interfaces.
        namespaces.in_network(router, partial(_plug_in, instance, str(namespaces.NETNS / name)))
    namespaces.in_network(name, partial(_set_up_instance, instance))
    namespaces.in_network(router, partial(_route_pods, instance))
    return name


def remove_instance(layout: Layout, instance_id: str, vpc_id: str, pod_prefixes: Iterable[str]) -> None:
    """Unplug an instance and remove its namespace."""
    with suppress(FileNotFoundError):
        namespaces.in_network(layout.vpc_netns(vpc_id), partial(_unplug, instance_id, tuple(pod_prefixes)))
    namespaces.delete_network(layout.node_netns(instance_id))


def _netlink() -> Any:
    from pyroute2 import IPRoute  # half a second to import: only processes that build networks pay for it

    return IPRoute()


def _set_up_router(interfaces: tuple[Interface, ...], addresses: tuple[str, ...]) -> None:
    _apply_sysctls()
    with _netlink() as ip:
        lo = _link("lo", ip)
        ip.link("set", index=lo, state="up")
        for address in addresses:
            ip.addr("replace", index=lo, address=address, prefixlen=32)
        for interface in interfaces:
            _ensure_bridge(ip, interface)


def _ensure_bridge(ip: Any, interface: Interface) -> None:
    if not _link(interface.name, ip):
        # Without this a bridge takes the lowest address of its ports, and changes it when nodes come and go.
        ip.link("add", ifname=interface.name, kind="bridge")
        index = _link(interface.name, ip)
        ip.link("set", index=index, address=ip.get_links(index)[0].get("address"))
    index = _link(interface.name, ip)
    ip.link("set", index=index, state="up")
    for address in interface.addresses:
        host, _, length = address.partition("/")
        ip.addr("replace", index=index, address=host, prefixlen=int(length))


def _plug_in(instance: Instance, netns: str) -> None:
    port = veth(instance.id)
    with _netlink() as ip, Path(netns).open("rb") as namespace:
        stale = _link(port, ip)
        if stale:
            ip.link("del", index=stale)
        ip.link("add", ifname=port, kind="veth", peer={"ifname": "eth0", "net_ns_fd": namespace.fileno()})
        ip.link("set", index=_link(port, ip), master=_link(bridge(instance.subnet.az), ip), state="up")


def _set_up_instance(instance: Instance) -> None:
    _apply_sysctls()
    with _netlink() as ip:
        eth0 = _link("eth0", ip)
        ip.link("set", index=_link("lo", ip), state="up")
        ip.link("set", index=eth0, state="up")
        # A host address: even its own subnet is reached through the router.
        ip.addr("replace", index=eth0, address=instance.private_ip, prefixlen=32)
        router = gateway(instance.subnet)
        ip.route("replace", dst=f"{router}/32", oif=eth0, scope=253, prefsrc=instance.private_ip)
        ip.route("replace", dst="0.0.0.0/0", gateway=router, oif=eth0, prefsrc=instance.private_ip)
        for prefix in instance.pod_prefixes:
            # What no pod has is dropped here, as in AWS, or it would go round between node and router.
            ip.route("replace", dst=prefix, type="blackhole")


def _route_pods(instance: Instance) -> None:
    with _netlink() as ip:
        index = _link(bridge(instance.subnet.az), ip)
        for prefix in instance.pod_prefixes:
            ip.route("replace", dst=prefix, gateway=instance.private_ip, oif=index)


def _unplug(instance_id: str, pod_prefixes: tuple[str, ...]) -> None:
    with _netlink() as ip:
        for prefix in pod_prefixes:
            for _ in ip.get_routes(family=2, table=_MAIN_TABLE, dst=prefix):
                ip.route("del", dst=prefix)
        port = _link(veth(instance_id), ip)
        if port:
            ip.link("del", index=port)


def _link(name: str, ip: Any = None) -> int:
    """Index of an interface, 0 when there is none of that name."""
    if ip is None:
        with _netlink() as opened:
            return _link(name, opened)
    found = ip.link_lookup(ifname=name)
    return int(found[0]) if found else 0


def _apply_sysctls() -> None:
    for name, value in SYSCTLS.items():
        file = Path("/proc/sys") / name
        if file.exists():  # no IPv6 in some kernels
            file.write_text(value)
