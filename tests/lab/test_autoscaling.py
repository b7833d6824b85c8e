"""Pods and nodes come under load and go again, on a lab whose settings want an autoscaler of nodes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.machine import Snapshot
from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak]
NAMESPACE = "chaotic-backend"
SHRINKS_WITHIN = 180.0  # seconds; 30 of them the autoscaler waits, the rest is the drain on a busy machine
STAGES = ["doctor", "infra", "kubeconfig", "controller", "autoscaler", "app", "alarms", "smoke"]
BIGGER = "resources: {requests: {cpu: 1072m}, limits: {cpu: 1072m}}\n"  # two nodes of 1930m hold two of the three pods


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    user = User(tmp_path_factory.mktemp("user"))
    (user.home / "chaosctl.toml").write_text("[infra]\nnode_autoscaling = true\n")
    before = Snapshot.take(user.home)
    user.chaosctl("up")
    yield user
    user.chaosctl("lab", "stop", "--yes", status=None)
    assert Snapshot.take(user.home) - before == [], "the machine is not as clean as before"


def ready_nodes(user: User) -> list[str]:
    nodes = json.loads(user.kubectl("get", "nodes", "-o", "json"))["items"]
    conditions = {n["metadata"]["name"]: {c["type"]: c["status"] for c in n["status"]["conditions"]} for n in nodes}
    return [name for name, found in conditions.items() if found.get("Ready") == "True"]


def group(user: User) -> tuple[int, int, int]:
    """Fewest, wanted and most nodes of the node group, as EKS tells them."""
    eks = user.aws("eks")
    cluster = "chaotic-backend-cluster"
    (name,) = eks.list_nodegroups(clusterName=cluster)["nodegroups"]
    sizes = eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]["scalingConfig"]
    return sizes["minSize"], sizes["desiredSize"], sizes["maxSize"]


def wait_for_two_nodes(user: User) -> None:
    deadline = time.monotonic() + SHRINKS_WITHIN
    while len(ready_nodes(user)) > 2:
        assert time.monotonic() < deadline, user.kubectl("-n", "kube-system", "logs", "deployment/cluster-autoscaler")
        time.sleep(2)


def test_a_version_that_does_not_fit_gets_a_node_which_nobody_calls_drift(user: User) -> None:
    values = user.home / "values.yaml"
    values.write_text(BIGGER)
    bigger = str(values)
    user.chaosctl("app", CHAOSCTL_APP__VALUES=bigger)
    assert len(ready_nodes(user)) == 3 and group(user) == (2, 3, 4)

    again: Any = json.loads(user.chaosctl("up", "--json", CHAOSCTL_APP__VALUES=bigger).stdout)["result"]["stages"]
    assert list(again) == STAGES
    assert {name for name, stage in again.items() if stage["changed"]} == set()
    assert (
        json.loads(user.chaosctl("status", "--drift", "--json", CHAOSCTL_APP__VALUES=bigger).stdout)["result"]["drift"]
        == []
    )
    assert len(ready_nodes(user)) == 3


def test_the_node_goes_when_the_pods_are_small_again(user: User) -> None:
    user.chaosctl("app")
    wait_for_two_nodes(user)
    assert group(user) == (2, 2, 4)
    user.chaosctl("smoke")


def test_the_scenario_proves_both_scalers_and_nobody_notices(user: User) -> None:
    result = user.json("chaos", "run", "autoscaling")
    assert result["verdict"] == "PASS", [(step["step"], step["reasons"]) for step in result["steps"]]
    load, growth = result["steps"]
    assert any(kill["evidence"].startswith("3 -> ") for kill in load["kills"])
    assert growth["kills"][0]["evidence"] == "2 -> 3 nodes, 3 pods that request 1072m of CPU"
    for step in result["steps"]:
        told = {(span["stream"], span["when"]) for span in step["spans"] if span["latency"]}
        assert told == {(stream, when) for stream in ("new", "reused") for when in ("before", "during", "after")}
    replicas = json.loads(user.kubectl("-n", NAMESPACE, "get", "deployment", NAMESPACE, "-o", "json"))
    assert replicas["spec"]["replicas"] == 3  # the HPA took back what it had added: the step waited for that
    wait_for_two_nodes(user)


def test_switched_off_it_is_uninstalled_and_its_role_goes(user: User) -> None:
    stages = json.loads(user.chaosctl("up", "--json", CHAOSCTL_INFRA__NODE_AUTOSCALING="false").stdout)["result"][
        "stages"
    ]
    assert stages["autoscaler"]["changed"]
    roles = [
        role["RoleName"] for page in user.aws("iam").get_paginator("list_roles").paginate() for role in page["Roles"]
    ]
    assert roles and not any("autoscaler" in role for role in roles)
    listed = user.json("chaos", "list")["faults"]
    assert not next(fault["here"] for fault in listed if fault["fault"] == "bigger-pods")
    user.chaosctl("up")


def test_down_leaves_nothing(user: User) -> None:
    user.chaosctl("down", "--yes")
