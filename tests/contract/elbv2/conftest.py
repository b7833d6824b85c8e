from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.elbv2.models import elbv2_backends

from chaosctl.lab.aws.corrections import elbv2
from chaosctl.lab.aws.elbv2 import Elbv2View

elbv2.apply()


@pytest.fixture(scope="package")
def moto() -> Iterator[None]:
    """One moto for all: it takes seconds to fill its EC2."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-west-2")
        with mock_aws():
            yield


@pytest.fixture
def aws(moto: None) -> None:
    elbv2_backends.reset()


@pytest.fixture
def view(aws: None) -> Elbv2View:
    return Elbv2View()


class World:
    """A VPC with two subnets, a security group, a load balancer, a target group and a listener."""

    def __init__(self) -> None:
        self.ec2: Any = boto3.client("ec2")
        self.elbv2: Any = boto3.client("elbv2")
        self.vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [self._subnet(number, zone) for number, zone in enumerate("ab")]
        self.security_group = self.ec2.create_security_group(GroupName="lb", Description="lb", VpcId=self.vpc)[
            "GroupId"
        ]
        self.balancer = self.create_balancer("web")["LoadBalancerArn"]
        self.group = self.create_group("app")["TargetGroupArn"]
        self.listener = self.listen(80)

    def _subnet(self, number: int, zone: str) -> str:
        cidr, zone = f"10.0.{number}.0/24", f"us-west-2{zone}"
        made = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=cidr, AvailabilityZone=zone)
        return str(made["Subnet"]["SubnetId"])

    def create_balancer(self, name: str, **more: Any) -> Any:
        settings = {"Subnets": self.subnets, "SecurityGroups": [self.security_group], **more}
        return self.elbv2.create_load_balancer(Name=name, **settings)["LoadBalancers"][0]

    def create_group(self, name: str, **more: Any) -> Any:
        settings = {"TargetType": "ip", "Protocol": "HTTP", "Port": 80, "VpcId": self.vpc, **more}
        return self.elbv2.create_target_group(Name=name, **settings)["TargetGroups"][0]

    def listen(self, port: int, **more: Any) -> str:
        forward = [{"Type": "forward", "TargetGroupArn": self.group}]
        settings = {"Protocol": "HTTP", "DefaultActions": forward, **more}
        made = self.elbv2.create_listener(LoadBalancerArn=self.balancer, Port=port, **settings)
        return str(made["Listeners"][0]["ListenerArn"])

    def rule(self, priority: int, path: str = "/x", **more: Any) -> Any:
        settings = {
            "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": [path]}}],
            "Actions": [{"Type": "forward", "TargetGroupArn": self.group}],
            **more,
        }
        return self.elbv2.create_rule(ListenerArn=self.listener, Priority=priority, **settings)["Rules"][0]

    def register(self, *targets: tuple[str, int]) -> None:
        self.elbv2.register_targets(TargetGroupArn=self.group, Targets=[{"Id": i, "Port": p} for i, p in targets])

    def deregister(self, ip: str, port: int) -> None:
        self.elbv2.deregister_targets(TargetGroupArn=self.group, Targets=[{"Id": ip, "Port": port}])

    def health(self, *targets: tuple[str, int]) -> list[Any]:
        asked = {"Targets": [{"Id": i, "Port": p} for i, p in targets]} if targets else {}
        found = self.elbv2.describe_target_health(TargetGroupArn=self.group, **asked)
        return list(found["TargetHealthDescriptions"])

    def states(self) -> dict[tuple[str, int], str]:
        return {(h["Target"]["Id"], h["Target"]["Port"]): h["TargetHealth"]["State"] for h in self.health()}


@pytest.fixture
def world(aws: None) -> World:
    return World()
