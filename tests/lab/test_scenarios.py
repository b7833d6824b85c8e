"""Scenarios, faults and the undo log on one deployment in the lab, as a user sees them."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.usefixtures("deployed")]
NAMESPACE = "chaotic-backend"
ROUNDS = 13  # each fault of the benchmark once
UNDO = Path(__file__).resolve().parents[2] / "benchmarks" / "undo.py"


def deployment(user: User) -> Any:
    return json.loads(user.kubectl("-n", NAMESPACE, "get", "deployment", NAMESPACE, "-o", "json"))


def replicas(user: User) -> tuple[int, int, int]:
    """Of the Deployment, and the bounds of its HPA."""
    app = deployment(user)
    hpa = json.loads(user.kubectl("-n", NAMESPACE, "get", "hpa", NAMESPACE, "-o", "json"))
    return app["spec"]["replicas"], hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]


def cordoned(user: User) -> list[str]:
    nodes = json.loads(user.kubectl("get", "nodes", "-o", "json"))["items"]
    return [node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable")]


def test_every_fault_is_listed_with_whether_it_can_be_done_here(user: User) -> None:
    scaling = ("hpa/chaotic-backend", "--for=condition=ScalingActive", "--timeout=120s")  # it has metrics
    user.kubectl("-n", NAMESPACE, "wait", *scaling)
    listed = user.json("chaos", "list")
    not_here = {fault["fault"] for fault in listed["faults"] if not fault["here"]}
    assert not_here == {"bigger-pods"}, listed["faults"]  # nothing adds nodes by default
    assert {"quick", "seed"} <= {scenario["name"] for scenario in listed["scenarios"]}


def test_the_quick_scenario_passes_with_proof_for_each_step_and_reports(user: User) -> None:
    page, junit = user.home / "quick.html", user.home / "quick.xml"
    result: Any = user.json("chaos", "run", "quick", "--html", str(page), "--junit", str(junit))
    assert result["verdict"] == "PASS"
    parts = ("01-pod-kill", "02-together", "03-scale", "04-app-crash")
    assert all(page.with_stem(f"quick-{part}").read_text().endswith("</html>") for part in parts)
    assert all(junit.with_stem(f"quick-{part}").read_text().startswith("<?xml") for part in parts)
    evidence = [{kill["evidence"] for kill in step["kills"]} for step in result["steps"]]
    assert evidence == [{"gone"}, {"gone"}, {"3 -> 4 replicas"}, {"restarts 0 -> 1"}]
    assert replicas(user) == (3, 3, 15)


@pytest.mark.parametrize("name", ["rollouts", "nodes", "seed"])
def test_a_shipped_scenario_passes(user: User, name: str) -> None:
    result: Any = user.json("chaos", "run", name)
    assert result["verdict"] == "PASS", [(step["step"], step["verdict"]) for step in result["steps"]]
    assert all(kill["gone"] for step in result["steps"] for kill in step["kills"])
    assert replicas(user) == (3, 3, 15) and cordoned(user) == []


@pytest.fixture
def as_it_was(user: User) -> Iterator[None]:
    """Puts the pod template and the chart's values back, whatever a test does to them."""
    spec = deployment(user)["spec"]["template"]["spec"]
    yield
    patch(user, [{"op": "replace", "path": "/spec/template/spec", "value": spec}])
    user.chaosctl("app")


@pytest.mark.usefixtures("as_it_was")
def test_a_readiness_probe_that_is_too_slow_is_named(user: User) -> None:
    values = user.home / "values.yaml"
    values.write_text("probes: {readiness: {periodSeconds: 5, failureThreshold: 3}}")
    user.chaosctl("app", CHAOSCTL_APP__VALUES=str(values))
    assert advice_on(user, "app-crash")["CRASH"] == "probes.readiness: {periodSeconds: 1, failureThreshold: 1}"


@pytest.mark.usefixtures("as_it_was")
def test_a_missing_readiness_gate_is_named(user: User) -> None:
    """Pods that count as ready before they answer: without the gate a rollout goes on until none of the old is left."""
    user.kubectl("label", "namespace", NAMESPACE, "elbv2.k8s.aws/pod-readiness-gate-inject-")
    app = "/spec/template/spec/containers/0"
    change: list[dict[str, Any]] = [
        {"op": "remove", "path": f"{app}/startupProbe"},
        {"op": "remove", "path": f"{app}/livenessProbe"},
        {"op": "replace", "path": f"{app}/readinessProbe", "value": {"tcpSocket": {"port": 3000}, "periodSeconds": 1}},
        {"op": "replace", "path": f"{app}/env", "value": [{"name": "CHAOTIC_COLD_START_SECONDS", "value": "20,20"}]},
    ]
    patch(user, change)
    user.kubectl("-n", NAMESPACE, "rollout", "status", "deployment", NAMESPACE, "--timeout=180s")
    gate = "label on the namespace: elbv2.k8s.aws/pod-readiness-gate-inject=enabled"
    assert advice_on(user, "rolling-restart")["NO_GATE"] == gate


def patch(user: User, change: list[dict[str, Any]]) -> None:
    """JSON patch of the app's Deployment."""
    user.kubectl("-n", NAMESPACE, "patch", "deployment", NAMESPACE, "--type=json", f"--patch={json.dumps(change)}")


def advice_on(user: User, fault: str) -> dict[str, str]:
    """Cause to smallest safe setting, for what users noticed of a fault."""
    told = user.chaosctl("chaos", "--fault", fault, "--observe", "15", "--json", status=10).stdout
    return {advice["cause"]: advice["setting"] for advice in json.loads(told)["result"]["advice"]}


def test_a_plan_is_executed_exactly(user: User) -> None:
    planned = user.chaosctl("chaos", "--fault", "node-drain", "--seed", "2", "--dry-run", "--json").stdout
    file = user.home / "plan.json"
    file.write_text(planned)
    result = user.json("chaos", "--plan", str(file), "--observe", "1")
    assert result["verdict"] == "PASS"
    victims = json.loads(planned)["result"]["plan"]["victims"]
    assert [kill["uid"] for kill in result["kills"]] == [victim["uid"] for victim in victims]
    assert cordoned(user) == []
    user.chaosctl("chaos", "--plan", str(file), status=14)


def test_a_run_that_is_killed_is_undone_by_undo(user: User) -> None:
    process = user.start("chaos", "--fault", "scale", "--with", "seconds=60")
    deadline = time.monotonic() + 60
    while replicas(user) != (4, 4, 15):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    undone = user.json("chaos", "--undo")["undone"]
    assert len(undone) == 1
    assert replicas(user) == (3, 3, 15)
    assert user.json("chaos", "--undo")["undone"] == []


def test_nothing_is_left_after_kills_at_random_moments(user: User) -> None:
    words = ("--count", str(ROUNDS), "--seed", "1", "--context", "chaotic-backend-cluster", "--json")
    result = json.loads(user.run(sys.executable, str(UNDO), *words, timeout=ROUNDS * 600).stdout)
    assert result["left"] == []
    assert result["kills"] == ROUNDS
