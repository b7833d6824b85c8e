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

pytestmark = [pytest.mark.lab, pytest.mark.soak]
NAMESPACE = "chaotic-backend"
UNDO = Path(__file__).resolve().parents[2] / "benchmarks" / "undo.py"


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    user = User(tmp_path_factory.mktemp("user"))
    user.chaosctl("up")
    yield user
    user.chaosctl("lab", "stop", "--yes", status=None)


def replicas(user: User) -> tuple[int, int, int]:
    """Of the Deployment, and the bounds of its HPA."""
    app = json.loads(user.kubectl("-n", NAMESPACE, "get", "deployment", NAMESPACE, "-o", "json"))
    hpa = json.loads(user.kubectl("-n", NAMESPACE, "get", "hpa", NAMESPACE, "-o", "json"))
    return app["spec"]["replicas"], hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]


def cordoned(user: User) -> list[str]:
    nodes = json.loads(user.kubectl("get", "nodes", "-o", "json"))["items"]
    return [node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable")]


def test_every_fault_is_listed_with_whether_it_can_be_done_here(user: User) -> None:
    listed = user.json("chaos", "list")
    here = {fault["fault"]: fault["here"] for fault in listed["faults"]}
    assert set(here.values()) == {True}, listed["faults"]
    assert {"quick", "seed"} <= {scenario["name"] for scenario in listed["scenarios"]}


def test_the_quick_scenario_passes_with_proof_for_each_step(user: User) -> None:
    result: Any = user.json("chaos", "run", "quick")
    assert result["verdict"] == "PASS"
    evidence = [{kill["evidence"] for kill in step["kills"]} for step in result["steps"]]
    assert evidence == [{"gone"}, {"gone"}, {"3 -> 4 replicas"}, {"restarts 0 -> 1"}]
    assert replicas(user) == (3, 3, 15)


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
    done = user.run(
        sys.executable, str(UNDO), "--kills", "20", "--seed", "1", "--context", "chaotic-backend-cluster", "--json"
    )
    result = json.loads(done.stdout)
    assert result["left"] == []
    assert sum(result["moments"].values()) == 20
