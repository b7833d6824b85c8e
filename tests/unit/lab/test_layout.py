from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from chaosctl.cli import compose
from chaosctl.config import Settings
from chaosctl.lab.layout import AWS_ENDPOINT, CLUSTERS, LOAD_BALANCERS, Layout, default

LONGEST_SOCKET = 107  # bytes in sun_path less the terminating zero


def test_two_labs_share_no_name() -> None:
    one, other = Layout(Path("/a/lab")), Layout(Path("/b/lab"))
    assert one.tag != other.tag
    assert one.netns_prefix != other.netns_prefix
    assert one.run != other.run
    assert one.marker != other.marker
    assert one.guest_marker != other.guest_marker


def test_the_files_of_deployments_are_where_chaosctl_puts_them() -> None:
    assert default().environments == compose.environment_dir(Settings()).parent


tags = st.integers(0, 0xFFFF).map("{:04x}".format)
indexes = st.sampled_from([AWS_ENDPOINT, *CLUSTERS, *LOAD_BALANCERS])


@given(tags, indexes, tags, indexes)
@example("ffff", LOAD_BALANCERS[-1], "0000", AWS_ENDPOINT)
@example("0000", LOAD_BALANCERS[-1], "0001", AWS_ENDPOINT)
def test_labs_have_addresses_of_their_own(tag: str, index: int, other: str, other_index: int) -> None:
    one, two = _address(tag, index), _address(other, other_index)
    assert one in IPv4Network("127.128.0.0/9") and one != IPv4Address("127.255.255.255")
    assert (one == two) == ((tag, index) == (other, other_index))


def _address(tag: str, index: int) -> IPv4Address:
    layout = Layout(Path("/a/lab"))
    layout.__dict__["tag"] = tag
    return IPv4Address(layout.loopback(index))


def test_sockets_fit_however_deep_the_state_is() -> None:
    layout = Layout(Path("/very" * 30) / "lab")
    assert len(str(layout.run / "i-0123456789abcdef0-containerd.sock.ttrpc")) < LONGEST_SOCKET


def test_network_namespaces_of_a_lab_are_recognised() -> None:
    layout = Layout(Path("/a/lab"))
    assert layout.vpc_netns("vpc-1").startswith(layout.netns_prefix)
    assert layout.node_netns("i-1").startswith(layout.netns_prefix)
