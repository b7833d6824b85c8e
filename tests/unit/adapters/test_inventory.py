from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from chaosctl.adapters import elb
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.inventory import Deployment, environments, leftovers, vpc_of

TAGS = {"chaosctl:cluster": "shop", "chaosctl:environment": "test"}
OURS = [{"Key": k, "Value": v} for k, v in TAGS.items()]
ENV = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        yield Aws(ENV, "us-west-2")


def vpc(aws: Aws, *, ours: bool = True) -> str:
    made = str(aws.call("ec2", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])
    if ours:
        aws.call("ec2", "create_tags", Resources=[made], Tags=OURS)
    return made


def kinds(aws: Aws, vpc_id: str = "") -> set[str]:
    return {item.kind for item in leftovers(aws, Deployment("shop", TAGS, vpc_id))}


def test_nothing_of_ours_is_nothing(aws: Aws) -> None:
    vpc(aws, ours=False)
    assert leftovers(aws, Deployment("shop", TAGS)) == []


def test_the_vpc_is_found_by_its_tags(aws: Aws) -> None:
    made = vpc(aws)
    assert vpc_of(aws, Deployment("shop", TAGS)) == made


def test_what_is_in_the_vpc_is_listed_once_each(aws: Aws) -> None:
    made = vpc(aws)
    subnet = aws.call("ec2", "create_subnet", VpcId=made, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    aws.call("ec2", "create_network_interface", SubnetId=subnet)
    found = leftovers(aws, Deployment("shop", TAGS, made))
    assert {item.kind for item in found} == {"VPC", "subnet", "network interface"}
    assert len({item.id for item in found}) == len(found)


def test_a_nat_gateway_that_is_gone_does_not_count(aws: Aws) -> None:
    made = vpc(aws)
    subnet = aws.call("ec2", "create_subnet", VpcId=made, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    address = aws.call("ec2", "allocate_address", Domain="vpc")["AllocationId"]
    nat = aws.call("ec2", "create_nat_gateway", SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
    assert "NAT gateway" in kinds(aws, made)
    aws.call("ec2", "delete_nat_gateway", NatGatewayId=nat)
    assert "NAT gateway" not in kinds(aws, made)


def test_log_groups_roles_and_addresses(aws: Aws) -> None:
    aws.call("logs", "create_log_group", logGroupName="/aws/eks/shop/cluster")
    aws.call("logs", "create_log_group", logGroupName="/aws/eks/shopping/cluster")
    aws.call("iam", "create_role", RoleName="shop-node", AssumeRolePolicyDocument="{}", Tags=OURS)
    aws.call("iam", "create_role", RoleName="shop-of-others", AssumeRolePolicyDocument="{}")
    address = aws.call("ec2", "allocate_address", Domain="vpc")["AllocationId"]
    aws.call("ec2", "create_tags", Resources=[address], Tags=OURS)
    assert kinds(aws) == {"log group", "IAM role", "Elastic IP"}


def test_what_the_controller_made_is_found_by_its_tag(aws: Aws) -> None:
    made = vpc(aws, ours=False)
    group = aws.call("elbv2", "create_target_group", Name="t", Protocol="HTTP", Port=80, VpcId=made)["TargetGroups"][0]
    assert elb.target_groups(aws, "shop") == []
    aws.call(
        "elbv2",
        "add_tags",
        ResourceArns=[group["TargetGroupArn"]],
        Tags=[{"Key": elb.CLUSTER_TAG, "Value": "shop"}],
    )
    assert elb.target_groups(aws, "shop") == [group["TargetGroupArn"]]
    assert "target group" in kinds(aws)


def test_a_certificate_is_left(aws: Aws) -> None:
    arn = aws.call("acm", "request_certificate", DomainName="a.io", ValidationMethod="DNS", Tags=OURS)["CertificateArn"]
    (left,) = leftovers(aws, Deployment("shop", TAGS))
    assert (left.kind, left.id, left.ours) == ("certificate", arn, True)


def test_environments_are_found_wherever_something_of_them_is(aws: Aws) -> None:
    vpc(aws)
    vpc(aws, ours=False)
    staging = [{"Key": "chaosctl:environment", "Value": "staging"}]
    aws.call("iam", "create_role", RoleName="stage-node", AssumeRolePolicyDocument="{}", Tags=staging)
    aws.call("iam", "create_role", RoleName="of-others", AssumeRolePolicyDocument="{}")
    assert environments(aws) == {"test", "staging"}
