from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chaosctl.adapters.helm import Release
from chaosctl.adapters.kube import Object, webhook_silent
from chaosctl.errors import WebhookSilent
from chaosctl.events import Event, Warned
from chaosctl.stages import diagnosis
from chaosctl.stages.release import Installed, converge
from chaosctl.target import ChartSource
from tests.unit.stages.fakes import FakeKube

MANIFEST = "kind: Service\napiVersion: v1\nmetadata: {name: web}\nspec: {port: 80}\n"
RELEASE = Release("web", "shop", 1, "deployed", MANIFEST, "[]")


class FakeHelm:
    def __init__(self, current: Release | None, wanted: Release = RELEASE) -> None:
        self.current, self.wanted = current, wanted
        self.did: list[str] = []
        self.silent: list[WebhookSilent] = []  # how the next installations end

    def release(self, name: str, namespace: str) -> Release | None:
        return self.current

    def preview(self, *_: Any) -> Release:
        return self.wanted

    def install(self, *_: Any) -> Release:
        if self.silent:
            raise self.silent.pop()
        self.did.append("install")
        self.current = replace(self.wanted, revision=(self.current.revision if self.current else 0) + 1)
        return self.current

    def recover(self, stuck: Release, good: int | None) -> str:
        self.did.append(f"recover {good}")
        self.current = None
        return "uninstalled"


@pytest.fixture
def kube() -> FakeKube:
    kube = FakeKube()
    kube.objects["/api/v1/namespaces/shop/services/web"] = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "resourceVersion": "9",
            "managedFields": [],
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"},
        },
        "spec": {"port": 80, "clusterIP": "172.20.0.9"},
        "status": {"x": 1},
    }
    return kube


def run(helm: FakeHelm, kube: FakeKube, events: list[Event] | None = None) -> Installed:
    said = [] if events is None else events
    return converge(helm, kube, "web", "shop", ChartSource("web"), {}, said.append, good=4)  # type: ignore[arg-type]


def test_nothing_installed_yet(kube: FakeKube) -> None:
    installed = run(FakeHelm(None), kube)
    assert (installed.changed, installed.release.revision) == (True, 1)


def test_the_second_run_makes_no_revision(kube: FakeKube) -> None:
    helm = FakeHelm(RELEASE)
    assert not run(helm, kube).changed
    assert helm.did == []


@pytest.mark.parametrize("change", [{"manifest": "kind: Other\n"}, {"hooks": '["x"]'}])
def test_what_would_render_differently_is_upgraded(kube: FakeKube, change: dict[str, str]) -> None:
    helm = FakeHelm(RELEASE, replace(RELEASE, **change))  # type: ignore[arg-type]
    assert run(helm, kube).changed


def test_an_object_that_somebody_deleted_comes_back(kube: FakeKube) -> None:
    kube.objects.clear()
    assert run(FakeHelm(RELEASE), kube).changed


def test_an_object_that_somebody_edited_is_put_right(kube: FakeKube) -> None:
    kube.objects["/api/v1/namespaces/shop/services/web"]["spec"]["port"] = 81
    assert run(FakeHelm(RELEASE), kube).changed


def test_a_failed_release_is_installed_again(kube: FakeKube) -> None:
    assert run(FakeHelm(replace(RELEASE, status="failed")), kube).changed


def test_a_stuck_release_is_freed_and_said_so(kube: FakeKube) -> None:
    helm, events = FakeHelm(replace(RELEASE, status="pending-install")), list[Event]()
    run(helm, kube, events)
    assert helm.did == ["recover 4", "install"]
    assert any(isinstance(e, Warned) and "pending-install" in e.text for e in events)


SILENT = webhook_silent('failed calling webhook "v.elbv2.k8s.aws": Post "https://hook.kube-system.svc:443/x": refused')


def test_a_webhook_that_is_silent_for_a_while_is_waited_for(kube: FakeKube) -> None:
    helm = FakeHelm(None)
    helm.silent = [SILENT]
    assert run(helm, kube).changed


def test_a_silent_webhook_is_no_drift(kube: FakeKube) -> None:
    apply, silent = kube.apply, [SILENT]

    def asking_webhooks(*args: Any, **options: Any) -> Object:
        if silent:
            raise silent.pop()
        return apply(*args, **options)

    kube.apply = asking_webhooks  # type: ignore[method-assign]
    helm = FakeHelm(RELEASE)
    assert not run(helm, kube).changed
    assert helm.did == []


def test_while_it_is_silent_helm_leaves_no_more_failed_revisions(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    helm, apply, silent = FakeHelm(replace(RELEASE, status="failed")), kube.apply, [SILENT, SILENT]
    installs: list[str] = []
    install = helm.install
    helm.silent = [SILENT]

    def counted(*args: Any) -> Release:
        installs.append("install")
        return install(*args)

    def asking_webhooks(*args: Any, **options: Any) -> Object:
        if silent:
            raise silent.pop()
        return apply(*args, **options)

    monkeypatch.setattr(helm, "install", counted)
    monkeypatch.setattr(kube, "apply", asking_webhooks)
    assert run(helm, kube).changed
    assert len(installs) == 2


def test_a_webhook_that_stays_silent_is_named(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "FAILOVER_SECONDS", 0.0)
    helm = FakeHelm(None)
    helm.silent = [SILENT]
    with pytest.raises(WebhookSilent) as caught:
        run(helm, kube)
    assert caught.value.what.startswith("the webhook v.elbv2.k8s.aws (Service kube-system/hook) has not answered")


def test_whoever_brings_the_webhook_back_has_more_patience(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "FAILOVER_SECONDS", 0.0)
    helm = FakeHelm(None)
    helm.silent = [SILENT]
    assert converge(helm, kube, "web", "shop", ChartSource("web"), {}, [].append, patience=60).changed  # type: ignore[arg-type]
