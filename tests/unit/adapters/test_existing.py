from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from chaosctl.adapters import existing
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.inventory import Deployment

TAGS = {"chaosctl:cluster": "shop", "chaosctl:environment": "test"}
ENV = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}
DEPLOYMENT = Deployment("shop", TAGS)


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        yield Aws(ENV, "us-west-2")


def named(kind: str, name: str) -> list[dict[str, Any]]:
    tags = {**TAGS, "Name": name}
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}]


def ec2(aws: Aws, operation: str, **arguments: Any) -> Any:
    return aws.call("ec2", operation, **arguments)


def test_an_empty_account_has_nothing(aws: Aws) -> None:
    ec2(aws, "create_vpc", CidrBlock="10.0.0.0/16")
    assert existing.found(aws, DEPLOYMENT) == {}
    assert existing.changing(aws, DEPLOYMENT) == ""


def test_the_network_is_found_under_its_addresses(aws: Aws) -> None:
    vpc = ec2(aws, "create_vpc", CidrBlock="10.0.0.0/16", TagSpecifications=named("vpc", "shop"))["Vpc"]["VpcId"]
    gateway = ec2(aws, "create_internet_gateway", TagSpecifications=named("internet-gateway", "shop"))
    igw = gateway["InternetGateway"]["InternetGatewayId"]
    ec2(aws, "attach_internet_gateway", VpcId=vpc, InternetGatewayId=igw)
    place = {"VpcId": vpc, "CidrBlock": "10.0.0.0/24", "AvailabilityZone": "us-west-2a"}
    subnet = ec2(aws, "create_subnet", **place, TagSpecifications=named("subnet", "shop-public-us-west-2a"))
    subnet_id = subnet["Subnet"]["SubnetId"]
    table = ec2(aws, "create_route_table", VpcId=vpc, TagSpecifications=named("route-table", "shop-public"))
    table_id = table["RouteTable"]["RouteTableId"]
    ec2(aws, "create_route", RouteTableId=table_id, DestinationCidrBlock="0.0.0.0/0", GatewayId=igw)
    ec2(aws, "associate_route_table", RouteTableId=table_id, SubnetId=subnet_id)
    assert existing.found(aws, DEPLOYMENT) == {
        "aws_vpc.main": vpc,
        "aws_internet_gateway.main": igw,
        'aws_subnet.public["us-west-2a"]': subnet_id,
        "aws_route_table.public": table_id,
        "aws_route.public_internet": f"{table_id}_0.0.0.0/0",
        'aws_route_table_association.public["us-west-2a"]': f"{subnet_id}/{table_id}",
    }


def test_a_private_zone_has_its_own_table(aws: Aws) -> None:
    vpc = ec2(aws, "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    name = "shop-private-us-west-2b"
    table = ec2(aws, "create_route_table", VpcId=vpc, TagSpecifications=named("route-table", name))
    found = existing.found(aws, DEPLOYMENT)
    assert found == {'aws_route_table.private["us-west-2b"]': table["RouteTable"]["RouteTableId"]}


def test_an_address_and_its_nat_gateway(aws: Aws) -> None:
    vpc = ec2(aws, "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2(aws, "create_subnet", VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    specification = named("elastic-ip", "shop-nat-us-west-2a")
    address = ec2(aws, "allocate_address", Domain="vpc", TagSpecifications=specification)["AllocationId"]
    specification = named("natgateway", "shop-us-west-2a")
    made = ec2(aws, "create_nat_gateway", SubnetId=subnet, AllocationId=address, TagSpecifications=specification)
    nat = made["NatGateway"]["NatGatewayId"]
    assert existing.found(aws, DEPLOYMENT)['aws_nat_gateway.main["us-west-2a"]'] == nat
    assert existing.found(aws, DEPLOYMENT)['aws_eip.nat["us-west-2a"]'] == address
    ec2(aws, "delete_nat_gateway", NatGatewayId=nat)
    assert 'aws_nat_gateway.main["us-west-2a"]' not in existing.found(aws, DEPLOYMENT)


def test_roles_are_told_apart_by_what_follows_the_prefix(aws: Aws) -> None:
    tags = [{"Key": k, "Value": v} for k, v in TAGS.items()]
    for name in ("shop-cluster-2026", "shop-node-2026", "shop-vpc-cni-2026", "shop-node-of-others"):
        aws.call("iam", "create_role", RoleName=name, AssumeRolePolicyDocument="{}", Tags=tags)
    assert existing.found(aws, DEPLOYMENT) == {
        "aws_iam_role.cluster": "shop-cluster-2026",
        "aws_iam_role.node": "shop-node-2026",
        'aws_iam_role.pod["vpc-cni"]': "shop-vpc-cni-2026",
    }


def test_a_certificate_is_found_by_its_domain(aws: Aws) -> None:
    tags = [{"Key": k, "Value": v} for k, v in TAGS.items()]
    asked = {"DomainName": "shop.example.com", "ValidationMethod": "DNS", "Tags": tags}
    arn = aws.call("acm", "request_certificate", **asked)["CertificateArn"]
    aws.call("acm", "request_certificate", DomainName="other.example.com", ValidationMethod="DNS")
    assert existing.found(aws, DEPLOYMENT) == {'aws_acm_certificate.main["shop.example.com"]': arn}


def test_keys_that_were_given_up_do_not_count(aws: Aws) -> None:
    tags = [{"TagKey": k, "TagValue": v} for k, v in TAGS.items()]
    old, new = (aws.call("kms", "create_key", Tags=tags)["KeyMetadata"]["KeyId"] for _ in range(2))
    aws.call("kms", "schedule_key_deletion", KeyId=old, PendingWindowInDays=7)
    aws.call("kms", "create_alias", AliasName="alias/shop-secrets-1", TargetKeyId=new)
    assert existing.found(aws, DEPLOYMENT) == {
        "aws_kms_key.secrets": new,
        "aws_kms_alias.secrets": "alias/shop-secrets-1",
    }


def test_the_key_of_the_logs_is_not_that_of_the_secrets(aws: Aws) -> None:
    tags = [{"TagKey": k, "TagValue": v} for k, v in TAGS.items()]
    of_logs, of_secrets = (
        aws.call("kms", "create_key", Tags=tags, Description=what)["KeyMetadata"]["KeyId"]
        for what in ("Logs of shop", "Kubernetes secrets of shop")
    )
    assert existing.found(aws, DEPLOYMENT) == {"aws_kms_key.logs": of_logs, "aws_kms_key.secrets": of_secrets}


def test_log_groups_and_the_launch_template(aws: Aws) -> None:
    for name in ("/aws/eks/shop/cluster", "/aws/vpc/shop/flow", "/aws/containerinsights/shop/host"):
        aws.call("logs", "create_log_group", logGroupName=name)
    made = ec2(
        aws,
        "create_launch_template",
        LaunchTemplateName="shop-nodes-2026",
        LaunchTemplateData={"ImageId": "ami-1"},
        TagSpecifications=named("launch-template", "x"),
    )
    assert existing.found(aws, DEPLOYMENT) == {
        "aws_cloudwatch_log_group.control_plane": "/aws/eks/shop/cluster",
        "aws_cloudwatch_log_group.flow": "/aws/vpc/shop/flow",
        'aws_cloudwatch_log_group.containers["host"]': "/aws/containerinsights/shop/host",
        "aws_launch_template.nodes": made["LaunchTemplate"]["LaunchTemplateId"],
    }
