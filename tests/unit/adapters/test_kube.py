from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaosctl.adapters.follow import Follow
from chaosctl.adapters.kube import (
    INGRESSES,
    NAMESPACES,
    NODES,
    PODS,
    Conflict,
    EvictionBlocked,
    Expired,
    Kube,
    NotFound,
    Resource,
)
from chaosctl.adapters.pod import Pod
from chaosctl.errors import ChaosctlError, PreconditionFailed, StageFailed, Unreachable
from tests.unit.adapters.api_server import ApiServer

Cluster = tuple[ApiServer, Kube]
BASE = "/api/v1/namespaces/shop/pods"


def pod(name: str, version: str = "1", **status: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": version}
    return {"metadata": meta, "spec": {"containers": []}, "status": status}


def eventually(check: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not check() and time.monotonic() < deadline:
        time.sleep(0.01)
    return check()


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (PODS, "/api/v1/namespaces/shop/pods/a"),
        (NODES, "/api/v1/nodes/a"),
        (INGRESSES, "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/a"),
    ],
)
def test_paths(resource: Resource, path: str) -> None:
    assert resource.path("shop", "a") == path


def test_a_missing_object_is_none(cluster: Cluster) -> None:
    assert cluster[1].get(PODS, "nobody", "shop") is None


def test_a_missing_kind_is_an_empty_list(cluster: Cluster) -> None:
    assert cluster[1].list(Resource("elbv2.k8s.aws", "v1beta1", "targetgroupbindings")) == []


def test_a_long_list_is_read_page_by_page(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    server, kube = cluster
    monkeypatch.setattr("chaosctl.adapters.kube.PAGE", 2)
    for i in range(5):
        server.put(f"{BASE}/p{i}", pod(f"p{i}"))
    assert [p.name for p in kube.pods("shop")] == ["p0", "p1", "p2", "p3", "p4"]
    assert len(server.requests) == 3


def test_selectors_are_sent(cluster: Cluster) -> None:
    server, kube = cluster
    kube.list(PODS, "shop", labels="app=web", fields="status.phase=Running")
    query = server.requests[-1][2]
    assert (query["labelSelector"], query["fieldSelector"]) == ("app=web", "status.phase=Running")


def test_the_token_of_the_file_is_sent(cluster: Cluster) -> None:
    server, kube = cluster
    kube.list(PODS, "shop")
    assert server.requests[-1][4]["authorization"] == "Bearer secret"


def test_a_token_source_wins_over_the_file(cluster: Cluster) -> None:
    server, kube = cluster
    Kube(kube.kubeconfig, token=lambda: "fresh").list(PODS, "shop")
    assert server.requests[-1][4]["authorization"] == "Bearer fresh"


def test_apply_is_server_side(cluster: Cluster) -> None:
    server, kube = cluster
    server.put("/api/v1", {"resources": [{"kind": "Namespace", "name": "namespaces", "namespaced": False}]})
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}, dry_run=True)
    method, path, query, _, headers = server.requests[-1]
    assert (method, path) == ("PATCH", "/api/v1/namespaces/shop")
    assert query == {"fieldManager": "chaosctl", "force": "true", "dryRun": "All"}
    assert headers["content-type"] == "application/apply-patch+yaml"


def test_a_kind_that_is_not_served(cluster: Cluster) -> None:
    server, kube = cluster
    server.put("/api/v1", {"resources": []})
    with pytest.raises(NotFound):
        kube.resource_of({"apiVersion": "v1", "kind": "Widget"})


def test_deletion_carries_uid_and_grace(cluster: Cluster) -> None:
    server, kube = cluster
    kube.delete(PODS, "p", "shop", uid="u1", grace=0)
    options = server.requests[-1][3]
    assert (options["preconditions"], options["gracePeriodSeconds"]) == ({"uid": "u1"}, 0)


def test_deleting_what_is_gone_is_no_error(cluster: Cluster) -> None:
    server, kube = cluster
    server.refuse["DELETE", f"{BASE}/p"] = 404, {"reason": "NotFound"}
    assert not kube.delete(PODS, "p", "shop")


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (401, PreconditionFailed, "KUBE-UNAUTHORIZED"),
        (403, PreconditionFailed, "KUBE-FORBIDDEN"),
        (409, Conflict, "KUBE-CONFLICT"),
        (410, Expired, "KUBE-EXPIRED"),
        (422, StageFailed, "KUBE-REFUSED"),
        (500, StageFailed, "KUBE-REFUSED"),
        (503, Unreachable, "KUBE-NOT-READY"),
    ],
)
def test_refusals(cluster: Cluster, status: int, error: type[ChaosctlError], code: str) -> None:
    server, kube = cluster
    server.refuse["GET", "/api/v1/namespaces"] = status, {"reason": "Because", "message": "I say so"}
    with pytest.raises(error) as caught:
        kube.list(NAMESPACES)
    assert caught.value.code == code
    assert "Because: I say so" in caught.value.why


TWO = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."


@pytest.mark.parametrize(("status", "said"), [(429, {"reason": "TooManyRequests"}), (500, {"message": TWO})])
def test_a_budget_that_blocks_an_eviction(cluster: Cluster, status: int, said: dict[str, str]) -> None:
    server, kube = cluster
    server.refuse["POST", f"{BASE}/p/eviction"] = status, said
    with pytest.raises(EvictionBlocked):
        kube.evict("shop", "p", uid="u")


def test_no_server_is_unreachable(cluster: Cluster) -> None:
    server, kube = cluster
    kube.list(PODS, "shop")
    server.shutdown()
    server.server_close()
    dead = Kube(kube.kubeconfig)
    with pytest.raises(Unreachable) as caught:
        dead.list(PODS, "shop")
    assert caught.value.code == "KUBE-UNREACHABLE"


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"\xff\xfe", b"[]", b"{}"])
def test_what_is_not_the_api_is_told_as_that(cluster: Cluster, body: bytes) -> None:
    server, kube = cluster
    server.instead = body
    for ask in (lambda: kube.pods("shop"), lambda: kube.list_versioned(PODS, "shop")):
        with pytest.raises(Unreachable) as caught:
            ask()
        assert caught.value.code == "KUBE-NO-API"
        assert repr(body.decode(errors="replace")) in caught.value.why


@pytest.mark.parametrize(("near", "asked"), [(True, None), (False, "gzip")])
def test_long_answers_are_compressed_on_their_way_through_a_network(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, near: bool, asked: str | None
) -> None:
    server, kube = cluster
    monkeypatch.setattr("chaosctl.adapters.kube._loopback", lambda url: near)
    server.put(f"{BASE}/p", pod("p"))
    assert [p.name for p in kube.pods("shop")] == ["p"]
    assert server.requests[-1][4].get("accept-encoding", "identity") == (asked or "identity")


def test_a_context_that_does_not_exist(cluster: Cluster) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        Kube(cluster[1].kubeconfig, "nope").list(PODS)
    assert caught.value.code == "KUBECONFIG-INVALID"


def test_a_kubeconfig_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(PreconditionFailed):
        Kube(tmp_path / "nowhere").list(PODS)


def test_follow_begins_with_what_is_there(cluster: Cluster) -> None:
    server, kube = cluster
    server.put(f"{BASE}/p", pod("p"))
    with Follow(kube, PODS, "shop") as pods:
        assert [o["metadata"]["name"] for o in pods.objects()] == ["p"]


def test_follow_hears_of_changes_in_order(cluster: Cluster) -> None:
    server, kube = cluster
    heard: list[str] = []
    with Follow(kube, PODS, "shop", on_event=lambda kind, o: heard.append(f"{kind} {o['metadata']['name']}")) as pods:
        server.tell(BASE, "ADDED", pod("p"))
        server.tell(BASE, "MODIFIED", pod("p", "2"))
        server.tell(BASE, "DELETED", pod("p", "3"))
        assert eventually(lambda: len(heard) == 3)
        assert pods.objects() == []
    assert heard == ["ADDED p", "MODIFIED p", "DELETED p"]


def test_follow_lists_again_after_a_break_and_tells_the_difference(cluster: Cluster) -> None:
    server, kube = cluster
    server.put(f"{BASE}/old", pod("old"))
    heard: list[str] = []
    with Follow(kube, PODS, "shop", on_event=lambda kind, o: heard.append(f"{kind} {o['metadata']['name']}")):
        del server.objects[f"{BASE}/old"]
        server.put(f"{BASE}/new", pod("new"))
        server.tell(BASE, "ERROR", {"message": "too old"})
        assert eventually(lambda: "ADDED new" in heard)
    assert heard[:3] == ["ADDED old", "DELETED old", "ADDED new"]


def test_a_bug_in_what_is_told_is_no_healthy_watch(cluster: Cluster) -> None:
    server, kube = cluster

    def fail(kind: str, obj: object) -> None:
        raise KeyError(kind)

    with pytest.raises(KeyError, match="ADDED"), Follow(kube, PODS, "shop", on_event=fail) as pods:
        server.tell(BASE, "ADDED", pod("p"))
        assert eventually(lambda: _raises(pods))
        with pytest.raises(KeyError):
            pods.objects()


def _raises(pods: Follow) -> bool:
    try:
        return pods.broken is not None
    except KeyError:
        return True


def test_leaving_follow_does_not_wait_for_the_next_event(cluster: Cluster) -> None:
    with Follow(cluster[1], PODS, "shop"):
        started = time.monotonic()
    assert time.monotonic() - started < 1


def test_the_exit_code_is_that_of_the_process_that_ended_last() -> None:
    again = {"name": "web", "restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 137}}}
    assert Pod.of(pod("p", containerStatuses=[again])).containers[0].exit_code == 137
    assert Pod.of(pod("p", containerStatuses=[{"name": "web"}])).containers[0].exit_code is None


def test_pod_states() -> None:
    waiting = {"name": "web", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    seen = Pod.of(pod("p", containerStatuses=[waiting], conditions=[{"type": "Ready", "status": "False"}]))
    assert not seen.ready
    assert seen.trouble == "web: ImagePullBackOff: no such image"


def test_a_failing_gate_is_named() -> None:
    obj = pod("p", conditions=[{"type": "gate/x", "status": "False", "message": "target is initial"}])
    obj["spec"]["readinessGates"] = [{"conditionType": "gate/x"}]
    assert Pod.of(obj).trouble == "gate/x is false: target is initial"


def test_a_balancer_without_a_server_behind_it_is_unreachable_and_not_waited_for(tmp_path: Path) -> None:
    """It accepts the connection and cuts the TLS handshake off; tried again without end, nothing would ever be said."""
    with socket.create_server(("127.0.0.1", 0)) as balancer:
        threading.Thread(target=cut_off_all, args=(balancer,), daemon=True).start()
        server = f"https://127.0.0.1:{balancer.getsockname()[1]}"
        config = {
            "clusters": [{"name": "c", "cluster": {"server": server, "insecure-skip-tls-verify": True}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "current-context": "x",
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        with pytest.raises(Unreachable):
            Kube(tmp_path / "kubeconfig").list(PODS)
        balancer.shutdown(socket.SHUT_RDWR)


def cut_off_all(balancer: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            balancer.accept()[0].close()
