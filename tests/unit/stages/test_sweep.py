from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from chaosctl.adapters import inventory
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.inventory import Deployment, Leftover
from chaosctl.events import ignore
from chaosctl.stages import sweep

TAGS = {"chaosctl:cluster": "shop", "chaosctl:environment": "test"}
OURS = [{"Key": k, "Value": v} for k, v in TAGS.items()]
ENV = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}

POLICY = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:List*", "Resource": "*"}]}"""


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name, seconds in (("PATIENCE", 0.1), ("SLOW_PATIENCE", 0.2), ("PAUSE", 0.01)):
        monkeypatch.setattr(sweep, name, seconds)
    with mock_aws():
        yield Aws(ENV, "us-west-2")


def tagged(kind: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": OURS}]


def network(aws: Aws) -> str:
    """A VPC as a killed `terraform apply` may leave it."""

    def ec2(operation: str, **arguments: Any) -> Any:
        return aws.call("ec2", operation, **arguments)

    vpc: str = ec2("create_vpc", CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc"))["Vpc"]["VpcId"]
    subnet = ec2("create_subnet", VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    gateway = ec2("create_internet_gateway", TagSpecifications=tagged("internet-gateway"))["InternetGateway"]
    ec2("attach_internet_gateway", VpcId=vpc, InternetGatewayId=gateway["InternetGatewayId"])
    table = ec2("create_route_table", VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2("associate_route_table", RouteTableId=table, SubnetId=subnet)
    address = ec2("allocate_address", Domain="vpc", TagSpecifications=tagged("elastic-ip"))["AllocationId"]
    ec2("create_nat_gateway", SubnetId=subnet, AllocationId=address, TagSpecifications=tagged("natgateway"))
    ec2("create_security_group", GroupName="g", Description="g", VpcId=vpc)
    ec2("create_network_interface", SubnetId=subnet)
    return vpc


def identity(aws: Aws) -> None:
    aws.call("iam", "create_role", RoleName="shop-node", AssumeRolePolicyDocument="{}", Tags=OURS)
    aws.call("iam", "put_role_policy", RoleName="shop-node", PolicyName="p", PolicyDocument=POLICY)
    policy = aws.call("iam", "create_policy", PolicyName="any", PolicyDocument=POLICY)["Policy"]["Arn"]
    aws.call("iam", "attach_role_policy", RoleName="shop-node", PolicyArn=policy)
    kms_tags = [{"TagKey": k, "TagValue": v} for k, v in TAGS.items()]
    key = aws.call("kms", "create_key", Tags=kms_tags)["KeyMetadata"]["KeyId"]
    aws.call("kms", "create_alias", AliasName="alias/shop-secrets-1", TargetKeyId=key)


def test_all_that_terraform_may_have_forgotten_can_be_deleted(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PATIENCE", 5.0)
    identity(aws)
    deployment = Deployment("shop", TAGS, network(aws))
    deleted, left = sweep.sweep(lambda: inventory.leftovers(aws, deployment), aws, ignore)
    assert left == []
    assert deleted >= 9


def test_what_is_not_surely_ours_is_not_touched(aws: Aws) -> None:
    address = aws.call("ec2", "allocate_address", Domain="vpc")["AllocationId"]
    theirs = [Leftover("Elastic IP", address, "its name", ours=False)]
    assert sweep.sweep(lambda: theirs, aws, ignore) == (0, theirs)
    assert aws.call("ec2", "describe_addresses")["Addresses"]


def test_it_ends_and_says_why_something_stays(aws: Aws) -> None:
    vpc = network(aws)
    _, left = sweep.sweep(lambda: [Leftover("VPC", vpc, "our tags")], aws, ignore)
    assert left[0].why.startswith("our tags; ec2 delete_vpc: DependencyViolation")


def test_users_go_before_what_they_use() -> None:
    order = sweep.ORDER
    assert order.index("EKS node group") < order.index("EKS cluster") < order.index("subnet") < order.index("VPC")
    assert order.index("NAT gateway") < order.index("Elastic IP") < order.index("internet gateway")


def test_a_cluster_keeps_its_network_and_role_until_it_is_gone() -> None:
    left = [
        Leftover("IAM role", "r"),
        Leftover("subnet", "s"),
        Leftover("EKS cluster", "c"),
        Leftover("target group", "t"),
    ]
    assert [item.id for item in sweep.askable(left)] == ["t", "c"]
    assert [item.id for item in sweep.askable(left[:2])] == ["s", "r"]
