from __future__ import annotations

import json
from typing import Any

import pytest

from chaosctl.adapters.helm import Release
from chaosctl.adapters.kube import DEPLOYMENTS, SECRETS, Object
from chaosctl.errors import StageFailed
from chaosctl.events import Event, Warned
from chaosctl.stages import rollback
from chaosctl.stages.rollback import ROLLED_BACK, SERVED, Revisions, last_rollback
from tests.unit.stages.fakes import FakeKube, deployment

FAILED = StageFailed(
    "shop/web is not ready: image", code="NOT-READY", why="0 of 2\nlog: password=x", remedy="correct it"
)


class FakeHelm:
    """Keeps revisions as Helm does: as Secrets of the cluster, of which only labels are looked at."""

    def __init__(self, kube: FakeKube, *manifests: str) -> None:
        self.kube, self.manifests = kube, list(manifests)
        for revision in range(1, len(manifests) + 1):
            self._record(revision, "deployed" if revision == len(manifests) else "superseded")

    def _record(self, revision: int, status: str) -> None:
        labels = {"owner": "helm", "name": "web", "version": str(revision), "status": status}
        self.kube.put(SECRETS, {"metadata": {"name": f"web.v{revision}", "namespace": "shop", "labels": labels}})

    def release(self, name: str, namespace: str, revision: int) -> Release:
        return Release(name, namespace, revision, "superseded", self.manifests[revision - 1], "[]")

    def rollback(self, name: str, namespace: str, revision: int) -> None:
        self.manifests.append(self.manifests[revision - 1])
        self._record(len(self.manifests), "deployed")


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    monkeypatch.setattr(rollback, "wait_for_rollout", lambda *_, **__: [])
    kube = FakeKube()
    kube.put(DEPLOYMENTS, deployment("web"))
    return kube


def revisions(helm: FakeHelm, said: list[Event] | None = None) -> Revisions:
    emit = [].append if said is None else said.append
    return Revisions(helm, helm.kube, "shop", "web", lambda pods: "", emit)  # type: ignore[arg-type]


def notes(kube: FakeKube) -> Object:
    return dict(kube.list(DEPLOYMENTS)[0]["metadata"].get("annotations") or {})


def test_a_failed_upgrade_goes_back_to_what_served(kube: FakeKube) -> None:
    helm = FakeHelm(kube, "good", "bad")
    there = revisions(helm)
    there.serves(1)
    error = there.roll_back(FAILED)
    assert helm.manifests == ["good", "bad", "good"]
    assert (error.code, error.remedy) == ("ROLLED-BACK", "correct it")
    assert "image" in error.why


def test_the_next_run_says_what_happened_without_what_the_app_logged(kube: FakeKube) -> None:
    helm, said = FakeHelm(kube, "good", "bad"), list[Event]()
    there = revisions(helm, said)
    there.serves(1)
    there.roll_back(FAILED)
    said.clear()
    there.look()
    told = [event.text for event in said if isinstance(event, Warned)]
    assert len(told) == 1
    assert "revision 2 failed and was rolled back to revision 1" in told[0]
    assert "image" in told[0]
    assert "password" not in str(notes(kube))


def test_after_a_good_upgrade_nothing_is_said_any_more(kube: FakeKube) -> None:
    helm = FakeHelm(kube, "good", "bad")
    there = revisions(helm)
    there.serves(1)
    there.roll_back(FAILED)
    there.serves(4)
    assert last_rollback(kube, "shop", "web") is None
    assert notes(kube)[SERVED] == "4"


def test_what_somebody_installed_since_ends_the_story(kube: FakeKube) -> None:
    helm = FakeHelm(kube, "good", "bad")
    there = revisions(helm)
    there.serves(1)
    there.roll_back(FAILED)
    assert last_rollback(kube, "shop", "web")
    helm.rollback("web", "shop", 2)
    assert last_rollback(kube, "shop", "web") is None


@pytest.mark.parametrize(
    ("manifests", "served", "why"),
    [
        (("bad",), None, "a first installation has nothing to go back to"),
        (("good",), 1, "nothing was upgraded: it broke by itself"),
        (("good", "good"), 1, "the upgrade only put right what somebody had changed"),
    ],
)
def test_nothing_to_go_back_to(kube: FakeKube, manifests: tuple[str, ...], served: int | None, why: str) -> None:
    helm = FakeHelm(kube, *manifests)
    there = revisions(helm)
    if served:
        there.serves(served)
    assert there.roll_back(FAILED) is FAILED
    assert helm.manifests == list(manifests), why


def test_an_upgrade_by_hand_that_serves_is_what_is_gone_back_to(kube: FakeKube) -> None:
    helm = FakeHelm(kube, "first", "by hand")
    there = revisions(helm)
    there.serves(1)
    there.look()
    assert there.served() == 2


def test_what_does_not_serve_now_is_not_noted(kube: FakeKube) -> None:
    helm = FakeHelm(kube, "good", "bad")
    there = revisions(helm)
    there.serves(1)
    kube.list(DEPLOYMENTS)[0]["status"]["availableReplicas"] = 1
    there.look()
    assert there.served() == 1


def test_a_way_back_that_fails_too_says_both(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise StageFailed("shop/web is not ready after 20 s", code="NOT-READY", why="1 of 2 pods ready")

    monkeypatch.setattr(rollback, "wait_for_rollout", fails)
    there = revisions(FakeHelm(kube, "good", "bad"))
    there.serves(1)
    error = there.roll_back(FAILED)
    assert error.code == "ROLLBACK-FAILED"
    assert "image" in error.what
    assert "1 of 2 pods ready" in error.why
    assert there.served() == 1


def test_the_record_is_plain_json(kube: FakeKube) -> None:
    there = revisions(FakeHelm(kube, "good", "bad"))
    there.serves(1)
    there.roll_back(FAILED)
    assert set(json.loads(notes(kube)[ROLLED_BACK])) == {"failed", "to", "revision", "at", "why"}
