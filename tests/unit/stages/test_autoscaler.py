from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaosctl.adapters.kube import DEPLOYMENTS
from chaosctl.config import InfraSettings, MirrorSettings, Settings
from chaosctl.events import ignore
from chaosctl.queries import drift
from chaosctl.stages import autoscaler, destroy, pipeline
from chaosctl.stages.access import Access
from chaosctl.stages.stage import Context
from chaosctl.target import Target
from tests.unit.stages.fakes import FakeKube, deployment


class FakeHelm:
    """Remembers what it uninstalls."""

    def __init__(self) -> None:
        self.gone: list[str] = []

    def uninstall(self, name: str, namespace: str) -> bool:
        self.gone.append(name)
        return True


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    kube = FakeKube()
    monkeypatch.setattr(Access, "kube", kube)
    return kube


@pytest.fixture
def helm(monkeypatch: pytest.MonkeyPatch) -> FakeHelm:
    helm = FakeHelm()
    monkeypatch.setattr(Access, "helm", helm)
    return helm


def context(tmp_path: Path, *, on: bool) -> Context:
    target = Target("test", "us-west-2", {}, {}, "state")
    settings = Settings(infra=InfraSettings(node_autoscaling=on))
    return Context(settings, target, ignore, lambda *names: {}, tmp_path)


def installed(kube: FakeKube) -> None:
    there = deployment(autoscaler.RELEASE)
    there["metadata"]["namespace"] = autoscaler.NAMESPACE
    kube.put(DEPLOYMENTS, there)


@pytest.mark.parametrize(
    ("on", "there", "named"), [(False, False, False), (False, True, True), (True, False, True), (True, True, True)]
)
def test_up_has_the_stage_when_it_is_wanted_or_was(
    tmp_path: Path, kube: FakeKube, on: bool, there: bool, named: bool
) -> None:
    if there:
        installed(kube)
    names = [stage.name for stage in pipeline.stages(context(tmp_path, on=on))]
    with_it = ["doctor", "infra", "kubeconfig", "controller", "autoscaler", "app", "alarms", "smoke"]
    assert names == (with_it if named else [name for name in with_it if name != "autoscaler"])


def test_switched_off_it_is_uninstalled(tmp_path: Path, helm: FakeHelm) -> None:
    result = autoscaler.Autoscaler().run(context(tmp_path, on=False))
    assert result.changed and helm.gone == ["cluster-autoscaler"]
    assert result.details == {"release": "cluster-autoscaler", "revision": 0, "pods": 0}


@pytest.mark.parametrize("there", [True, False])
def test_down_uninstalls_it_first_and_asks_helm_only_when_it_is_there(
    tmp_path: Path, kube: FakeKube, helm: FakeHelm, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(destroy, "_live_kube", lambda _: kube)
    if there:
        installed(kube)
    destroy.Releases().run(context(tmp_path, on=False))
    rest = ["chaotic-backend", "aws-load-balancer-controller"]
    assert helm.gone == (["cluster-autoscaler", *rest] if there else rest)


class Aws:
    """A node group of another size than the settings say."""

    def pages(self, *args: Any, **more: Any) -> list[str]:
        return ["main"]

    def call(self, *args: Any, **more: Any) -> dict[str, Any]:
        tags = {"chaosctl:cluster": "chaotic-backend-cluster", "chaosctl:environment": "default"}
        sizes = {"minSize": 2, "maxSize": 4, "desiredSize": 3}
        return {"nodegroup": {"status": "ACTIVE", "tags": tags, "scalingConfig": sizes}}


@pytest.mark.parametrize("on", [True, False])
def test_what_an_autoscaler_does_to_a_group_is_no_drift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: bool
) -> None:
    monkeypatch.setattr(Context, "aws", Aws())
    scene: Any = type("Scene", (), {"context": context(tmp_path, on=on), "access": None})
    assert bool(list(drift.node_groups(scene))) is not on


def test_its_chart_comes_from_its_own_repository_or_from_the_mirror() -> None:
    own = autoscaler.published(MirrorSettings())
    assert (own.ref, own.repo, own.version) == (
        "cluster-autoscaler",
        "https://kubernetes.github.io/autoscaler",
        autoscaler.VERSION,
    )
    mirrored = autoscaler.published(MirrorSettings(charts="oci://registry.example/charts", images="registry.example/p"))
    assert mirrored.ref == "oci://registry.example/charts/cluster-autoscaler"
    assert mirrored.values == ({"image": {"repository": "registry.example/p/autoscaling/cluster-autoscaler"}},)
