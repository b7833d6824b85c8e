from __future__ import annotations

from typing import Any

import pytest
from moto import mock_aws

from chaosctl.adapters import elb
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.elb import ANY_HOST, Listener
from chaosctl.stages.entrance import CERTIFICATE, unserved

ENV = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}


def ingress(host: str = "", certificate: str = "") -> dict[str, Any]:
    annotations = {CERTIFICATE: certificate} if certificate else {}
    return {"metadata": {"annotations": annotations}, "spec": {"rules": [{"host": host} if host else {}]}}


def listener(port: int = 80, certificate: str = "", host: str = ANY_HOST) -> Listener:
    return Listener(port, frozenset({certificate} - {""}), frozenset({host}))


@pytest.mark.parametrize(
    ("wanted", "there", "said"),
    [
        (ingress(), [listener()], ""),
        (ingress("a.example", "arn:1"), [listener(), listener(443, "arn:1", "a.example")], ""),
        (ingress(certificate="arn:1, arn:2"), [listener(443, "arn:2")], ""),
        (ingress(), [], "does not listen on port 80 yet"),
        (ingress(certificate="arn:1"), [listener()], "does not listen on port 443 yet"),
        (ingress(certificate="arn:1"), [listener(443, "arn:0")], "still has another certificate"),
        (ingress(), [listener(host="a.example")], "does not forward requests for * yet"),
        (ingress("a.example"), [listener()], "does not forward requests for a.example yet"),
    ],
)
def test_what_the_load_balancer_does_not_do_yet_is_said(wanted: Any, there: list[Listener], said: str) -> None:
    found = unserved(wanted, there)
    assert said in found
    assert bool(found) == bool(said)


def test_listeners_are_told_with_the_hosts_that_they_forward() -> None:
    with mock_aws():
        aws = Aws(ENV, "us-west-2")
        vpc = aws.call("ec2", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = aws.call("ec2", "create_subnet", VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        arn = aws.call("elbv2", "create_load_balancer", Name="l", Subnets=[subnet])["LoadBalancers"][0][
            "LoadBalancerArn"
        ]
        group = aws.call("elbv2", "create_target_group", Name="t", Protocol="HTTP", Port=80, VpcId=vpc)
        forward = [{"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}]
        nothing = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
        made = aws.call(
            "elbv2", "create_listener", LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=nothing
        )
        (balancer,) = elb.all_load_balancers(aws)
        assert elb.listeners(aws, balancer) == [Listener(80, frozenset(), frozenset())]
        for priority, condition in (
            (1, {"Field": "host-header", "HostHeaderConfig": {"Values": ["a.example"]}}),
            (2, {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}),
        ):
            aws.call(
                "elbv2",
                "create_rule",
                ListenerArn=made["Listeners"][0]["ListenerArn"],
                Priority=priority,
                Conditions=[condition],
                Actions=forward,
            )
        assert elb.listeners(aws, balancer) == [Listener(80, frozenset(), frozenset({"a.example", ANY_HOST}))]
        gone = elb.LoadBalancer(arn[:-1] + "0", "l", "", "active", "")
        assert elb.listeners(aws, gone) == []
