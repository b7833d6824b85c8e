from chaosctl.lab import network
from chaosctl.lab.network import Interface
from tests.unit.lab.examples import INSTANCE, PRIVATE_A, VPC


def test_gateway_is_the_first_address() -> None:
    assert network.gateway(PRIVATE_A) == "10.0.10.1"


def test_a_bridge_per_zone_with_all_its_gateways() -> None:
    assert network.bridges(VPC.subnets) == (
        Interface("br-us-west-2a", ("10.0.0.1/24", "10.0.10.1/24")),
        Interface("br-us-west-2b", ("10.0.11.1/24",)),
    )


def test_names_fit_into_the_kernels_limit() -> None:
    assert len(network.bridge("ap-southeast-2a")) <= 15
    assert len(network.veth(INSTANCE.id)) <= 15


def test_zones_of_a_long_region_have_different_bridges() -> None:
    assert network.bridge("ap-southeast-2a") != network.bridge("ap-southeast-2b")
