from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws
from moto.elbv2.models import ELBv2Backend

from chaosctl.adapters import elb
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.kube import (
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    GATEWAYS,
    INGRESSES,
    SERVICES,
    TARGET_GROUP_BINDINGS,
    Object,
)
from chaosctl.adapters.terraform import TerraformFailed
from chaosctl.config import Settings
from chaosctl.errors import ExitStatus, LeftoversFound
from chaosctl.events import ignore
from chaosctl.stages import controller, destroy, sweep
from chaosctl.stages.stage import Context
from chaosctl.target import Target
from tests.unit.stages.fakes import FakeKube, deployment

ENV = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}
CLUSTER = "chaotic-backend-cluster"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    monkeypatch.setattr(destroy, "LAG_SECONDS", 0.1)
    for name, seconds in (("PATIENCE", 0.1), ("SLOW_PATIENCE", 0.2), ("PAUSE", 0.01)):
        monkeypatch.setattr(sweep, name, seconds)
    with mock_aws():
        yield Aws(ENV, "us-west-2")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    target = Target("test", "us-west-2", ENV, {}, "state")
    return Context(Settings(), target, ignore, lambda *names: {}, tmp_path)


def entry(name: str, **spec: Any) -> Object:
    meta = {"name": name, "namespace": "shop", "uid": name, "finalizers": ["elb"]}
    return {"kind": "Thing", "metadata": meta, "spec": spec}


def target_group(aws: Aws) -> None:
    vpc = aws.call("ec2", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    tags = [{"Key": elb.CLUSTER_TAG, "Value": CLUSTER}]
    aws.call("elbv2", "create_target_group", Name="t", Protocol="HTTP", Port=80, VpcId=vpc, Tags=tags)


def test_the_order_of_down() -> None:
    names = [stage.name for stage in destroy.stages()]
    assert names == ["alarms", "balancers", "releases", "infra", "kubeconfig", "proof"]


def test_only_what_the_controller_acts_upon_is_deleted() -> None:
    kube = FakeKube()
    kube.put(INGRESSES, entry("door"))
    kube.put(SERVICES, entry("balanced", type="LoadBalancer"))
    kube.put(SERVICES, entry("inner", type="ClusterIP"))
    assert destroy._ask(kube, ignore) == 2
    assert kube.said == ["delete ingresses door", "delete services balanced"]


def balancer(aws: Aws, *, protected: bool) -> str:
    vpc = aws.call("ec2", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        aws.call(
            "ec2", "create_subnet", VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-west-2{zone}"
        )
        for number, zone in enumerate("ab")
    ]
    tags = [{"Key": elb.CLUSTER_TAG, "Value": CLUSTER}]
    made = aws.call(
        "elbv2", "create_load_balancer", Name="l", Subnets=[s["Subnet"]["SubnetId"] for s in subnets], Tags=tags
    )
    arn: str = made["LoadBalancers"][0]["LoadBalancerArn"]
    on = [{"Key": elb.PROTECTION, "Value": str(protected).lower()}]
    aws.call("elbv2", "modify_load_balancer_attributes", LoadBalancerArn=arn, Attributes=on)
    return arn


@pytest.mark.parametrize("protected", [True, False])
def test_a_protected_load_balancer_is_deleted(
    aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    arn, delete = balancer(aws, protected=protected), ELBv2Backend.delete_load_balancer

    def as_aws_does(backend: Any, arn: str) -> None:
        assert backend.load_balancers[arn].attrs[elb.PROTECTION] == "false", "AWS refuses to delete it"
        delete(backend, arn)

    monkeypatch.setattr(ELBv2Backend, "delete_load_balancer", as_aws_does)
    destroy._in_its_place(None, aws, context)
    assert elb.load_balancers(aws, CLUSTER) == []
    assert not elb.unprotect(aws, arn), "what is gone is no reason to stop"


def test_protection_goes_before_the_ingress_where_it_is_wished_for_and_where_it_is(aws: Aws, context: Context) -> None:
    arn, kube, wish = balancer(aws, protected=True), FakeKube(), "alb.ingress.kubernetes.io/load-balancer-attributes"
    door = entry("door")
    door["metadata"]["annotations"] = {wish: "idle_timeout.timeout_seconds=30, deletion_protection.enabled=true"}
    kube.put(INGRESSES, door)
    kube.put(INGRESSES, entry("plain"))
    destroy._unprotect(kube, aws, context)
    assert kube.said == ["patch ingresses door"]
    wished = kube.list(INGRESSES)[0]["metadata"]["annotations"][wish]
    assert wished == "idle_timeout.timeout_seconds=30, deletion_protection.enabled=false"
    assert not elb.unprotect(aws, arn), "it is off already"


def test_gateways_are_deleted_and_waited_for_and_their_bindings_go_with_them(aws: Aws, context: Context) -> None:
    kube = FakeKube()
    gateway = held("gate", "gateway.k8s.aws/alb")
    kube.put(GATEWAYS, gateway)
    binding = entry("made-for-the-gateway")
    binding["metadata"]["labels"] = {"gateway.k8s.aws/stack-name": "gate"}
    kube.put(TARGET_GROUP_BINDINGS, binding)
    assert destroy._left(kube, aws, context) == "shop/gate"
    assert destroy._ask(kube, ignore) == 1
    assert kube.said == ["delete gateways gate"]


def test_what_a_dead_controller_left_is_deleted_in_its_place(
    aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    target_group(aws)
    monkeypatch.setattr(destroy, "_live_kube", lambda _: None)
    assert destroy.Balancers().run(context).changed
    assert elb.target_groups(aws, CLUSTER) == []


def test_finalizers_that_nobody_serves_are_taken_off(aws: Aws, context: Context) -> None:
    kube = FakeKube()
    kube.put(INGRESSES, entry("door"))
    destroy._in_its_place(kube, aws, context)
    assert kube.list(INGRESSES)[0]["metadata"]["finalizers"] is None
    assert "delete validatingwebhookconfigurations aws-load-balancer-webhook" in kube.said


def controller_pods(kube: FakeKube, available: int) -> FakeKube:
    found = deployment(controller.RELEASE, availableReplicas=available)
    found["metadata"]["namespace"] = controller.NAMESPACE
    kube.put(DEPLOYMENTS, found)
    return kube


def held(name: str, *finalizers: str) -> Object:
    door = entry(name)
    door["metadata"]["finalizers"] = list(finalizers)
    return door


def test_a_dead_controller_is_told_at_once(aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    kube, revived = controller_pods(FakeKube(), 0), list[Context]()
    kube.put(INGRESSES, held("door", "ingress.k8s.aws/resources"))
    target_group(aws)
    monkeypatch.setattr(destroy, "_live_kube", lambda _: kube)
    monkeypatch.setattr(destroy, "_revive", revived.append)
    assert destroy.Balancers().run(context).changed
    assert len(revived) == 1 and elb.target_groups(aws, CLUSTER) == [] and kube.list(INGRESSES) == []


def test_a_controller_that_made_nothing_is_not_revived(
    aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube = controller_pods(FakeKube(), 0)
    kube.put(INGRESSES, entry("door"))
    monkeypatch.setattr(destroy, "_live_kube", lambda _: kube)
    monkeypatch.setattr(destroy, "_revive", lambda _: pytest.fail("revived"))
    assert destroy.Balancers().run(context).changed


def test_finalizers_of_others_are_not_waited_for(aws: Aws, context: Context) -> None:
    kube = controller_pods(FakeKube(), 1)
    kube.put(INGRESSES, held("door", "example.com/never"))
    assert destroy._left(kube, aws, context) == ""
    kube.put(INGRESSES, held("gate", "group.ingress.k8s.aws/shared"))
    assert destroy._left(kube, aws, context) == "shop/gate"


@pytest.mark.parametrize("available", [0, 1])
def test_a_controller_that_gets_no_further_is_not_waited_for(
    aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch, available: int
) -> None:
    monkeypatch.setattr(destroy, "STALL_SECONDS", 0.1 if available else 999.0)
    monkeypatch.setattr(destroy, "DEAD_SECONDS", 999.0 if available else 0.1)
    kube = controller_pods(FakeKube(), available)
    kube.put(INGRESSES, held("door", "ingress.k8s.aws/resources"))
    destroy._wait_for_controller(kube, aws, context)


def test_budgets_are_deleted_everywhere() -> None:
    kube = FakeKube()
    kube.put(DISRUPTION_BUDGETS, entry("strict"))
    assert destroy._delete_budgets(kube)
    assert kube.list(DISRUPTION_BUDGETS) == []


def test_terraform_that_fails_leaves_the_rest_to_the_sweep(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Context) -> None:
        raise TerraformFailed("destroy", [], "it broke", Path("log"))

    monkeypatch.setattr(destroy, "destroy_infra", fail)
    assert destroy.Cloud().run(context).changed


def test_nothing_there_is_nothing_to_do(aws: Aws, context: Context) -> None:
    assert not destroy.Balancers().run(context).changed
    assert not destroy.Releases().run(context).changed
    assert not destroy.Proof().run(context).changed


def test_log_groups_that_eks_made_again_are_swept(aws: Aws, context: Context) -> None:
    aws.call("logs", "create_log_group", logGroupName=f"/aws/eks/{CLUSTER}/cluster")
    assert destroy.Proof().run(context).changed


def test_what_is_ours_without_an_owner_is_deleted(aws: Aws, context: Context) -> None:
    target_group(aws)
    assert destroy.Proof().run(context).changed
    assert elb.target_groups(aws, CLUSTER) == []


def test_what_may_be_of_others_is_listed_and_stays(aws: Aws, context: Context) -> None:
    policy = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:List*", "Resource": "*"}]}"""
    aws.call("iam", "create_policy", PolicyName=f"{CLUSTER}-of-someone", PolicyDocument=policy)
    with pytest.raises(LeftoversFound) as caught:
        destroy.Proof().run(context)
    assert caught.value.status == ExitStatus.LEFTOVERS
    assert f"IAM policy: arn:aws:iam::123456789012:policy/{CLUSTER}-of-someone" in caught.value.why
