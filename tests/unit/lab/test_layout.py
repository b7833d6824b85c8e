from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from chaosctl.lab.layout import Layout

LONGEST_SOCKET = 107  # bytes in sun_path less the terminating zero


def test_two_labs_share_no_name() -> None:
    one, other = Layout(Path("/a/lab")), Layout(Path("/b/lab"))
    assert one.tag != other.tag
    assert one.netns_prefix != other.netns_prefix
    assert one.run != other.run
    assert one.marker != other.marker


@given(st.integers(0, 60_000))
def test_addresses_are_loopback_and_distinct(index: int) -> None:
    layout = Layout(Path("/a/lab"))
    assert IPv4Address(layout.loopback(index)) in IPv4Network("127.64.0.0/10")
    assert layout.loopback(index) != layout.loopback(index + 1)


def test_sockets_fit_however_deep_the_state_is() -> None:
    layout = Layout(Path("/very" * 30) / "lab")
    assert len(str(layout.run / "i-0123456789abcdef0-containerd.sock.ttrpc")) < LONGEST_SOCKET


def test_network_namespaces_of_a_lab_are_recognised() -> None:
    layout = Layout(Path("/a/lab"))
    assert layout.vpc_netns("vpc-1").startswith(layout.netns_prefix)
    assert layout.node_netns("i-1").startswith(layout.netns_prefix)
