"""The target `context` against a small API server and a small website: no AWS, no lab."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.adapters.api_server import ApiServer, api_server
from tests.unit.adapters.web_server import Web, web_server
from tests.unit.cli.conftest import Inside

REVIEWS = ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")


def pod(name: str, *, ready: bool = True) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "labels": {"app": "web"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web", "uid": "uid-set", "controller": True}],
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "app"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


@dataclass(frozen=True)
class Elsewhere:
    """A shop that somebody else deployed, and a user who has a kubeconfig for it."""

    cli: Inside
    server: ApiServer
    web: Web

    def result(self, *words: str, status: int = 0) -> Any:
        done = self.cli.run(*words, "--context", "x", "--namespace", "shop", "--json")
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)["result"]

    def configure(self, text: str = "") -> None:
        (self.cli.cwd / "chaosctl.toml").write_text(f'url = "{self.web.url}"\nselector = "app=web"\n{text}')


@pytest.fixture
def elsewhere(inside: Inside) -> Iterator[Elsewhere]:
    with api_server(inside.cwd) as (server, _), web_server() as web:
        server.put("/api/v1/namespaces/kube-system", {"metadata": {"name": "kube-system", "uid": "cluster-1"}})
        for name in ("web-1", "web-2", "web-3"):
            server.put(f"/api/v1/namespaces/shop/pods/{name}", pod(name))
        shop = Elsewhere(inside, server, web)
        shop.configure()
        yield shop


@pytest.mark.parametrize("command", ["up", "infra", "kubeconfig", "controller", "app", "plan", "down"])
def test_what_would_change_it_is_refused(elsewhere: Elsewhere, command: str) -> None:
    done = elsewhere.cli.run(command, "--target", "context", "--yes")
    assert done.returncode == 2
    assert "CONTEXT-NOT-OURS" in done.stderr
    assert elsewhere.server.requests == []


def test_the_current_context_alone_is_not_enough(inside: Inside) -> None:
    done = inside.run("chaos", "--kill-pods", "--target", "context")
    assert done.returncode == 2
    assert "CONTEXT-MISSING" in done.stderr


def test_a_context_and_another_target_contradict_each_other(inside: Inside) -> None:
    assert inside.run("smoke", "--context", "x", "--target", "lab").returncode == 2


def test_smoke_asks_the_configured_routes_only(elsewhere: Elsewhere) -> None:
    elsewhere.configure('[smoke.routes]\n"/api/items" = ["items"]\n')
    elsewhere.web.answers["/api/items"] = {"items": []}
    result = elsewhere.result("smoke")
    assert [route["path"] for route in result["routes"]] == ["/api/items"]
    assert result["url"] == elsewhere.web.url


def test_a_route_without_keys_needs_no_json(elsewhere: Elsewhere) -> None:
    elsewhere.configure('[smoke.routes]\n"/page" = []\n')
    elsewhere.web.answers["/page"] = (200, b"<html>")
    assert elsewhere.result("smoke")["passed"]


def test_status_shows_the_pods_of_the_selector(elsewhere: Elsewhere) -> None:
    assert [p["name"] for p in elsewhere.result("status")["pods"]] == ["web-1", "web-2", "web-3"]
    asked = [query["labelSelector"] for _, path, query, _, _ in elsewhere.server.requests if path.endswith("/pods")]
    assert asked == ["app=web"]


def test_a_dry_run_names_victims_and_the_place(elsewhere: Elsewhere) -> None:
    plan = elsewhere.result("chaos", "--kill-pods", "--dry-run", "--seed", "1")["plan"]
    assert plan["place"] == {"account": "", "cluster": "cluster-1", "namespace": "shop", "selector": "app=web"}
    assert [victim["name"][:4] for victim in plan["victims"]] == ["web-"]


def test_a_selector_on_the_command_line_wins(elsewhere: Elsewhere) -> None:
    plan = elsewhere.result("chaos", "--kill-pods", "--dry-run", "--selector", "app in (web)")["plan"]
    assert plan["place"]["selector"] == "app in (web)"


@pytest.mark.parametrize(("allowed", "status"), [(True, 0), (False, 3)])
def test_doctor_asks_whether_we_may(elsewhere: Elsewhere, allowed: bool, status: int) -> None:
    elsewhere.server.refuse[REVIEWS] = (201, {"status": {"allowed": allowed}})
    levels = {f["check"]: f["level"] for f in elsewhere.result("doctor", status=status)["findings"]}
    assert levels == {"app in the context": "ok", "rights for chaos": "ok" if allowed else "problem"}


def test_contexts_are_found_in_any_file_of_kubeconfig(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.loads((tmp_path / "kubeconfig").read_text())
    (tmp_path / "contexts").write_text(json.dumps({**whole, "clusters": [], "users": [], "current-context": ""}))
    (tmp_path / "clusters").write_text(json.dumps({**whole, "contexts": []}))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{tmp_path / 'contexts'}:{tmp_path / 'clusters'}")
    done = elsewhere.cli.run("status", "--context", "x")
    assert done.returncode == 0, done.stderr
    assert "Could not be asked" not in done.stdout
