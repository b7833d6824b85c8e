"""Bad upgrades of the app under traffic: each goes back by itself, users notice nothing, and the next run says so.

The tests of this module run in their order on one deployment.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.lab.interruption import Point, end_at
from tests.lab.traffic import Traffic
from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.usefixtures("deployed")]
APP = "chaotic-backend"
CONTROLLER = ("-n", "kube-system", "deployment", "aws-load-balancer-controller")
PATIENCE = 40  # seconds: app.timeout_seconds
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"image": {"repository": "localhost:9/no/such", "tag": "1"}}, "image: "),
    "crash-loop": ({"extraEnv": [{"name": "CHAOTIC_COLD_START_SECONDS", "value": "soon"}]}, "crash loop: "),
    "readiness": ({"probes": {"readiness": {"path": "/no-such-page"}}}, "failing readiness: "),
}


@pytest.fixture(scope="module")
def user(newcomer: User) -> User:
    wanted(newcomer, {})
    return newcomer


def wanted(user: User, values: dict[str, Any], patience: int = PATIENCE) -> None:
    """What the user has configured from now on."""
    with (user.home / "values.yaml").open("w") as file:
        YAML(typ="safe").dump(values, file)
    (user.home / "chaosctl.toml").write_text(f'[app]\nvalues = "values.yaml"\ntimeout_seconds = {patience}\n')


def uids(user: User) -> set[str]:
    listed = json.loads(user.kubectl("-n", APP, "get", "pods", "-l", f"app.kubernetes.io/name={APP}", "-o", "json"))
    return {p["metadata"]["uid"] for p in listed["items"] if "deletionTimestamp" not in p["metadata"]}


def history(user: User) -> list[tuple[str, str]]:
    words = ("history", APP, "-n", APP, "--kube-context", "chaotic-backend-cluster", "-o", "json")
    listed = json.loads(user.run(user.tools["helm"], *words).stdout)
    return [(revision["status"], revision["description"]) for revision in listed]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_upgrade_goes_back_while_the_old_pods_serve(user: User, bad: str) -> None:
    values, named = BAD[bad]
    before, served = uids(user), len(history(user))
    wanted(user, values)
    with Traffic(user.chaosctl("url").stdout.strip()) as traffic:
        failed = user.chaosctl("app", status=5, timeout=PATIENCE + 30)
    assert "[ROLLED-BACK]" in failed.stderr
    assert named in failed.stderr
    assert uids(user) == before
    assert history(user)[-1] == ("deployed", f"Rollback to {served}")
    assert set(traffic.answers) == {"200"}, traffic.answers
    assert f"rolled back to revision {served}" in user.chaosctl("status").stdout


def test_up_tries_again_and_says_what_happened_before(user: User) -> None:
    wanted(user, BAD["image"][0])
    user.chaosctl("app", status=5)
    again = user.chaosctl("up", status=5)
    assert "was rolled back to revision" in again.stderr.split("app: upgrading", 1)[0]
    assert "[ROLLED-BACK]" in again.stderr


def test_up_with_what_served_changes_nothing_and_says_what_happened(user: User) -> None:
    before = uids(user)
    wanted(user, {})
    done = user.chaosctl("up", "--json")
    assert "was rolled back to revision" in done.stderr
    assert not json.loads(done.stdout)["result"]["stages"]["app"]["changed"]
    assert uids(user) == before
    assert "was rolled back" not in user.chaosctl("app").stderr


def test_a_run_that_is_killed_in_a_bad_upgrade_leaves_the_way_back(user: User) -> None:
    before = uids(user)
    wanted(user, BAD["image"][0])
    end_at(user, Point("the bad version is waited for", r"waiting for chaotic-backend to be ready", "SIGKILL"), "app")
    with Traffic(user.chaosctl("url").stdout.strip()) as traffic:
        assert "[ROLLED-BACK]" in user.chaosctl("app", status=5).stderr
    assert uids(user) == before
    assert set(traffic.answers) == {"200"}, traffic.answers


def test_the_app_waits_for_a_webhook_whose_node_has_just_died(user: User) -> None:
    wanted(user, {})
    user.chaosctl("app")
    pods = json.loads(user.kubectl("-n", "kube-system", "get", "pods", "-o", "json"))["items"]
    node = next(p["spec"]["nodeName"] for p in pods if p["metadata"]["name"].startswith("aws-load-balancer-controller"))
    provider = json.loads(user.kubectl("get", "node", node, "-o", "json"))["spec"]["providerID"]
    user.aws("ec2").terminate_instances(InstanceIds=[provider.rpartition("/")[2]])
    wanted(user, {"podLabels": {"example.com/changed": "indeed"}}, patience=300)  # on the one node that is left
    user.json("app")


def test_a_webhook_that_nobody_serves_is_named(user: User) -> None:
    user.kubectl("scale", "--replicas=0", *CONTROLLER)
    wanted(user, {}, patience=300)  # afterwards Kubernetes takes its time to try again what was refused
    refused = user.chaosctl("app", status=7)
    assert "[WEBHOOK-SILENT]" in refused.stderr
    assert "kube-system/aws-load-balancer-webhook-service" in refused.stderr
    user.chaosctl("controller")
    user.chaosctl("app")
