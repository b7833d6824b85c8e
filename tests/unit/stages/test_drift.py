from __future__ import annotations

from typing import Any

import pytest

from chaosctl.adapters.helm import Release
from chaosctl.stages.drift import additions, judge_size, openings
from chaosctl.stages.release import drift_of
from tests.unit.stages.fakes import FakeKube

MANIFEST = "kind: Service\napiVersion: v1\nmetadata: {name: web}\nspec: {port: 80}\n"
RELEASE = Release("web", "shop", 1, "deployed", MANIFEST, "[]")


@pytest.mark.parametrize(
    ("size", "wanted", "said"),
    [
        (3, 3, ""),
        (5, 3, "is scaled to 5, its autoscaler wants 3"),
        (0, 3, "is scaled to 0, its autoscaler keeps 3 to 15"),
        (20, 20, "is scaled to 20, its autoscaler keeps 3 to 15"),
        (8, 8, ""),
    ],
)
def test_a_size_that_is_not_the_autoscalers(size: int, wanted: int, said: str) -> None:
    scaler = {"spec": {"minReplicas": 3, "maxReplicas": 15}, "status": {"desiredReplicas": wanted}}
    assert judge_size({"spec": {"replicas": size}}, scaler) == said


def group(source: str, port: int | None, to: int | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"IpRanges": [{"CidrIp": source}]}
    if port is not None:
        rule |= {"FromPort": port, "ToPort": to or port}
    return {"IpPermissions": [rule]}


@pytest.mark.parametrize(
    ("opened", "allowed", "said"),
    [
        (group("0.0.0.0/0", 22), set(), ["is open to 0.0.0.0/0 on port 22"]),
        (group("0.0.0.0/0", None), set(), ["is open to 0.0.0.0/0 on ports 0 to 65535"]),
        (group("0.0.0.0/0", 80), {"0.0.0.0/0"}, []),
        (group("0.0.0.0/0", 22), {"0.0.0.0/0"}, ["is open to 0.0.0.0/0 on port 22"]),
        (group("0.0.0.0/0", 443), {"10.0.0.0/8"}, ["is open to 0.0.0.0/0 on port 443"]),
        ({"IpPermissions": [{"UserIdGroupPairs": [{"GroupId": "sg-1"}]}]}, set(), []),
    ],
)
def test_an_opened_security_group(opened: dict[str, Any], allowed: set[str], said: list[str]) -> None:
    assert openings(opened, allowed) == said


def test_what_a_person_added() -> None:
    marks: dict[str, Any] = {"f:metadata": {"f:annotations": {".": {}, "f:waf": {}, "f:scheme": {}}}, "f:spec": {}}
    entries = [
        {"manager": "kubectl-edit", "fieldsV1": marks},
        {"manager": "helm", "fieldsV1": {"f:spec": {}}},
        {"manager": "kubectl-edit", "subresource": "status", "fieldsV1": {"f:spec": {}}},
        {"manager": "kubectl-rollout", "fieldsV1": {"f:spec": {}}},
    ]
    live = {"metadata": {"managedFields": entries}}
    assert additions(live, {"scheme"}) == {"kubectl-edit": ["waf", "spec"]}
    assert additions({}, set()) == {}


def test_a_missing_object() -> None:
    drift = drift_of(FakeKube(), RELEASE, RELEASE.objects()[0])
    assert drift
    assert (drift.kind, drift.name, drift.live) == ("Service", "web", None)
