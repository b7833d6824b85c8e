from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from chaosctl.adapters import elb
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.kube import INGRESSES, SERVICES, Object
from chaosctl.config import Settings
from chaosctl.errors import ExitStatus, LeftoversFound
from chaosctl.events import ignore
from chaosctl.stages import destroy
from chaosctl.stages.stage import Context
from chaosctl.target import Target
from tests.unit.stages.fakes import FakeKube

ENV = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}
CLUSTER = "chaotic-backend-cluster"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    monkeypatch.setattr(destroy, "FINALIZER_SECONDS", 0.0)
    monkeypatch.setattr(destroy, "SWEEP_SECONDS", 0.1)
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
    assert [stage.name for stage in destroy.stages()] == ["balancers", "releases", "infra", "kubeconfig", "proof"]


def test_only_what_the_controller_acts_upon_is_deleted() -> None:
    kube = FakeKube()
    kube.put(INGRESSES, entry("door"))
    kube.put(SERVICES, entry("balanced", type="LoadBalancer"))
    kube.put(SERVICES, entry("inner", type="ClusterIP"))
    assert destroy._ask(kube, ignore) == 2
    assert kube.said == ["delete ingresses door", "delete services balanced"]


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
    destroy._in_its_place(kube, aws, [], context)
    assert kube.list(INGRESSES)[0]["metadata"]["finalizers"] is None


def test_nothing_there_is_nothing_to_do(aws: Aws, context: Context) -> None:
    assert not destroy.Balancers().run(context).changed
    assert not destroy.Releases().run(context).changed
    assert not destroy.Proof().run(context).changed


def test_log_groups_that_eks_made_again_are_swept(aws: Aws, context: Context) -> None:
    aws.call("logs", "create_log_group", logGroupName=f"/aws/eks/{CLUSTER}/cluster")
    assert destroy.Proof().run(context).changed


def test_what_is_left_is_listed(aws: Aws, context: Context) -> None:
    target_group(aws)
    with pytest.raises(LeftoversFound) as caught:
        destroy.Proof().run(context)
    assert caught.value.status == ExitStatus.LEFTOVERS
    assert "target group: arn:aws:elasticloadbalancing" in caught.value.why
