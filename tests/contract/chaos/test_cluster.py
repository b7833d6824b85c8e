"""What chaos takes for granted of a cluster, asked of the fake that other tests use and of the adapter."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.adapters.kube import Conflict, EvictionBlocked, NotFound
from chaosctl.adapters.pod import Pod
from chaosctl.chaos.cluster import Cluster, DisruptionBudget
from chaosctl.chaos.kube_cluster import KubeCluster
from tests.unit.adapters.api_server import ApiServer, api_server
from tests.unit.chaos.fakes import PLACE, cluster_of

PODS = f"/api/v1/namespaces/{PLACE.namespace}/pods"
STATUS = {"kind": "Status", "reason": "x", "message": "no"}


def pod_json(name: str) -> dict[str, object]:
    return {
        "metadata": {
            "name": name,
            "namespace": PLACE.namespace,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "labels": {"app.kubernetes.io/instance": "shop"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "shop", "uid": "rs-1", "controller": True}],
        },
        "spec": {"nodeName": "node-a"},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    }


@pytest.fixture(params=["fake", "adapter"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """Pods web-1 and web-2; deleting web-2 says that it has another UID, evicting it that a budget forbids it."""
    if request.param == "fake":
        fake = cluster_of(2)
        fake.pdbs = [DisruptionBudget("keep", {}, (), 0)]
        yield fake
        return
    with api_server(tmp_path) as (server, kube):
        _fill(server)
        yield KubeCluster(kube)


def _fill(server: ApiServer) -> None:
    server.put("/api/v1/namespaces/kube-system", {"metadata": {"name": "kube-system", "uid": PLACE.cluster}})
    for name in ("web-1", "web-2"):
        server.put(f"{PODS}/{name}", pod_json(name))
    server.put(
        f"/apis/policy/v1/namespaces/{PLACE.namespace}/poddisruptionbudgets/keep",
        {"metadata": {"name": "keep"}, "spec": {"selector": {}}, "status": {"disruptionsAllowed": 0}},
    )
    server.refuse[("DELETE", f"{PODS}/web-2")] = (409, STATUS)
    server.refuse[("DELETE", f"{PODS}/web-9")] = (404, STATUS)
    server.refuse[("POST", f"{PODS}/web-2/eviction")] = (429, STATUS)
    server.refuse[("POST", f"{PODS}/web-9/eviction")] = (404, STATUS)


def test_it_knows_itself_its_pods_and_its_budgets(cluster: Cluster) -> None:
    assert cluster.identity() == PLACE.cluster
    pods = cluster.pods(PLACE)
    assert [(p.name, p.uid, p.owner_uid, p.ready, p.deleting) for p in pods] == [
        (name, f"uid-{name}", "rs-1", True, False) for name in ("web-1", "web-2")
    ]
    (budget,) = cluster.budgets(PLACE)
    assert budget.disruptions_allowed == 0 and all(budget.covers(p) for p in pods)


def test_a_watch_begins_with_what_exists(cluster: Cluster) -> None:
    seen: list[tuple[str, str]] = []
    both = threading.Event()

    def on_pod(kind: str, pod: Pod) -> None:
        seen.append((kind, pod.name))
        if len(seen) == 2:
            both.set()

    with cluster.follow(PLACE, on_pod) as watch:
        assert both.wait(5)
        assert watch.broken is None
    assert sorted(seen) == [("ADDED", "web-1"), ("ADDED", "web-2")]


def test_a_deletion_is_acknowledged_or_says_why_not(cluster: Cluster) -> None:
    assert cluster.delete(PLACE, "web-1", "uid-web-1", 0) is True
    assert cluster.delete(PLACE, "web-9", "uid-web-9", None) is False
    with pytest.raises(Conflict):
        cluster.delete(PLACE, "web-2", "another-uid", None)


def test_an_eviction_is_granted_or_says_why_not(cluster: Cluster) -> None:
    with pytest.raises(EvictionBlocked):
        cluster.evict(PLACE, "web-2", "uid-web-2")
    with pytest.raises(NotFound):
        cluster.evict(PLACE, "web-9", "uid-web-9")


@pytest.mark.parametrize(("grace", "sent"), [(None, None), (0, 0)])
def test_the_adapter_sends_the_uid_as_precondition(tmp_path: Path, grace: int | None, sent: int | None) -> None:
    with api_server(tmp_path) as (server, kube):
        KubeCluster(kube).delete(PLACE, "web-1", "uid-web-1", grace)
        (body,) = [body for method, _, _, body, _ in server.requests if method == "DELETE"]
    assert body["preconditions"] == {"uid": "uid-web-1"}
    assert body.get("gracePeriodSeconds") == sent
