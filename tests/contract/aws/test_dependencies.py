"""What something else still uses cannot be deleted, as on AWS: without that, `down` would be tested against nothing."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.aws.conftest import Lab, MakeCluster, Network


def refusal(lab: Lab, operation: str, **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        getattr(lab.client("ec2"), operation)(**arguments)
    return str(refused.value.response["Error"]["Code"])


def test_a_subnet_with_an_interface_in_it(lab: Lab, network: Network) -> None:
    ec2, subnet = lab.client("ec2"), network.subnets[0]
    eni = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    assert refusal(lab, "delete_subnet", SubnetId=subnet) == "DependencyViolation"
    ec2.delete_network_interface(NetworkInterfaceId=eni)
    ec2.delete_subnet(SubnetId=subnet)


def test_a_subnet_under_a_cluster(lab: Lab, network: Network, make_cluster: MakeCluster) -> None:
    make_cluster()
    assert refusal(lab, "delete_subnet", SubnetId=network.subnets[0]) == "DependencyViolation"
    lab.client("eks").delete_cluster(name="demo")
    lab.store.cluster_gone("demo")
    lab.client("ec2").delete_subnet(SubnetId=network.subnets[0])


def test_a_subnet_with_a_nat_gateway(lab: Lab, network: Network) -> None:
    ec2, subnet = lab.client("ec2"), network.subnets[0]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
    (eni,) = ec2.describe_network_interfaces(Filters=[{"Name": "subnet-id", "Values": [subnet]}])["NetworkInterfaces"]
    assert (eni["Status"], nat in eni["Description"]) == ("in-use", True)
    assert refusal(lab, "delete_subnet", SubnetId=subnet) == "DependencyViolation"
    ec2.delete_nat_gateway(NatGatewayId=nat)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.release_address(AllocationId=address)


def test_a_vpc_with_a_security_group_or_a_gateway(lab: Lab, network: Network) -> None:
    ec2 = lab.client("ec2")
    for subnet in network.subnets:
        ec2.delete_subnet(SubnetId=subnet)
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=network.vpc)["GroupId"]
    assert refusal(lab, "delete_vpc", VpcId=network.vpc) == "DependencyViolation"
    ec2.delete_security_group(GroupId=group)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
    assert refusal(lab, "delete_vpc", VpcId=network.vpc) == "DependencyViolation"
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
    ec2.delete_vpc(VpcId=network.vpc)


def test_a_cluster_that_lost_its_subnets_can_still_be_removed(
    lab: Lab, network: Network, make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As states of before this rule hold it: the reconcilers must not stumble over it for ever."""
    make_cluster()
    monkeypatch.setattr("chaosctl.lab.aws.corrections.dependencies._in_use", lambda backend: iter(()))
    for subnet in network.subnets:
        lab.client("ec2").delete_subnet(SubnetId=subnet)
    (cluster,) = lab.store.clusters()
    assert cluster.subnets == ()
