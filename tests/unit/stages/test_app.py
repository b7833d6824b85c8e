from __future__ import annotations

from pathlib import Path

import pytest

from chaosctl.adapters import elb
from chaosctl.adapters.elb import LoadBalancer
from chaosctl.adapters.kube import AUTOSCALERS, DEPLOYMENTS, PODS
from chaosctl.config import Settings
from chaosctl.errors import StageFailed
from chaosctl.events import ignore
from chaosctl.stages import app, controller
from chaosctl.stages.access import Access
from chaosctl.stages.kubeconfig import entry_name
from chaosctl.stages.stage import Context
from chaosctl.target import Target
from tests.unit.stages.fakes import FakeKube, deployment, pod

GATE = app.GATE_PREFIX + "k8s-web"


def context_of(tmp_path: Path, **settings: str) -> Context:
    chosen = Settings(**{"namespace": "shop", "release": "web", **settings})  # type: ignore[arg-type]
    return Context(chosen, Target("t", "us-west-2", {}, {}, "b"), ignore, lambda *names: {}, tmp_path)


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    monkeypatch.setattr(app, "_check_gates", lambda *_: None)
    kube = FakeKube()
    kube.put(DEPLOYMENTS, deployment("web", 1))
    return kube


def test_it_begins_with_the_least_that_the_autoscaler_wants(kube: FakeKube) -> None:
    kube.put(AUTOSCALERS, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"minReplicas": 3}})
    app._scale_to_minimum(kube, "shop", "web")
    assert kube.list(DEPLOYMENTS)[0]["spec"]["replicas"] == 3


def test_it_does_not_scale_down(kube: FakeKube) -> None:
    kube.put(DEPLOYMENTS, deployment("web", 7))
    kube.put(AUTOSCALERS, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"minReplicas": 3}})
    app._scale_to_minimum(kube, "shop", "web")
    assert kube.said == []


def test_pods_with_a_gate_stay(kube: FakeKube, tmp_path: Path) -> None:
    kube.put(PODS, pod("a", gates=(GATE,)))
    assert not app._require_gates(kube, context_of(tmp_path), first=True)
    assert kube.said == []


def test_on_a_first_install_pods_without_a_gate_are_replaced_at_once(kube: FakeKube, tmp_path: Path) -> None:
    kube.put(PODS, pod("a"))
    assert app._require_gates(kube, context_of(tmp_path), first=True)
    assert kube.said == ["delete pods a"]


def test_later_they_are_replaced_gently(kube: FakeKube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "wait_for_rollout", lambda *_, **__: [])
    kube.put(PODS, pod("a"))
    assert app._require_gates(kube, context_of(tmp_path), first=False)
    assert kube.said == ["patch deployments web"]


def test_the_controllers_endpoint_counts_only_when_ready() -> None:
    assert not controller._has_ready_endpoint({"endpoints": None})
    assert not controller._has_ready_endpoint({"endpoints": [{"conditions": {"ready": False}}]})
    assert controller._has_ready_endpoint({"endpoints": [{"conditions": {"ready": True}}]})


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "chaotic-backend-cluster"),
        ({"target": "aws"}, "chaotic-backend-cluster-aws"),
        ({"environment": "blue"}, "chaotic-backend-cluster-blue"),
    ],
)
def test_entries_of_different_deployments_have_different_names(
    tmp_path: Path, settings: dict[str, str], name: str
) -> None:
    assert entry_name(context_of(tmp_path, **settings)) == name


def test_a_load_balancer_that_stays_failed_ends_the_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = LoadBalancer("arn", "k8s-web", "", "failed", "internet-facing", "port 80 is in use: process 7 (nginx)")
    monkeypatch.setattr(elb, "load_balancers", lambda aws, cluster: [failed])
    monkeypatch.setattr(app, "ASK_SECONDS", 0)
    possible = app._Possible(Access(context_of(tmp_path)), "c")
    possible()  # for a moment that is nothing
    monkeypatch.setattr(app, "FAILED_SECONDS", 0)
    with pytest.raises(StageFailed) as caught:
        possible()
    assert (caught.value.code, "nginx" in caught.value.why) == ("LB-FAILED", True)
