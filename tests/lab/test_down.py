"""`down` on bad days. Two deployments, each with several things in its way that do not disturb each other."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.interruption import Point, end_at
from tests.lab.machine import Snapshot
from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak]
CLUSTER = "chaotic-backend-cluster"
CONTROLLER = ("-n", "kube-system", "deployment", "aws-load-balancer-controller")


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    user = User(tmp_path_factory.mktemp("user"))
    before = Snapshot.take()
    yield user
    user.chaosctl("lab", "stop", "--yes", status=None)
    assert Snapshot.take() - before == [], "the machine is not as clean as before"


def apply(user: User, *objects: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    argv = (user.tools["kubectl"], "--context", CLUSTER, "apply", "-f", "-")
    subprocess.run(argv, input=text, env=user.env, text=True, check=True, capture_output=True)


def ingress(namespace: str, name: str, *, service: str, finalizers: tuple[str, ...] = ()) -> dict[str, Any]:
    backend = {"service": {"name": service, "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace, "finalizers": list(finalizers)},
        "spec": {"ingressClassName": "alb", "defaultBackend": backend},
    }


def service(namespace: str, name: str) -> dict[str, Any]:
    spec = {"ports": [{"port": 80}], "selector": {"app": name}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def strict_budget(namespace: str) -> dict[str, Any]:
    spec = {"maxUnavailable": 0, "selector": {"matchLabels": {"app.kubernetes.io/name": "chaotic-backend"}}}
    meta = {"name": "strict", "namespace": namespace}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec}


def seed(user: User) -> None:
    """What stands in the way and does not need a dead controller."""
    apply(
        user,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "second"}},
        service("second", "there"),
        ingress("second", "balanced", service="there"),  # a load balancer in another namespace
        ingress("second", "never", service="missing"),  # never gets a hostname
        ingress("second", "stuck", service="there", finalizers=("example.com/nobody-serves-it",)),
        strict_budget("chaotic-backend"),
    )
    ec2, eks = user.aws("ec2"), user.aws("eks")
    subnet = ec2.describe_subnets(Filters=[{"Name": "tag:kubernetes.io/role/internal-elb", "Values": ["1"]}])
    ec2.create_network_interface(SubnetId=subnet["Subnets"][0]["SubnetId"], Description="left available")
    eks.update_cluster_config(name=CLUSTER, deletionProtection=True)
    deadline = time.monotonic() + 60
    while "elb.amazonaws.com" not in user.kubectl("-n", "second", "get", "ingress", "balanced"):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def down(user: User) -> str:
    done = user.chaosctl("down", "--yes", timeout=600)
    assert "Nothing is left" in done.stdout
    return done.stderr


def test_down_with_everything_in_its_way(user: User) -> None:
    """A living controller; second Ingress, one without a hostname, finalizer, budget, interface, protection."""
    user.chaosctl("up")
    seed(user)
    said = end_at(user, Point("all is removed", r"proof: look through", "SIGKILL"), "down", "--yes")
    assert "taking off example.com/nobody-serves-it" in said
    assert "does not remove everything" not in said


def test_a_second_down_is_quick(user: User) -> None:
    """The lab still runs, with the bucket and an empty state in it: all is looked through, and nothing found."""
    started = time.monotonic()
    done = user.chaosctl("down", "--yes")
    assert time.monotonic() - started < 10
    assert "There was nothing to remove" in done.stdout
    assert "infra: Terraform had made nothing" in done.stderr


@pytest.mark.parametrize("death", ["scaled-to-nothing", "deleted"])
def test_down_with_a_dead_controller(user: User, death: str) -> None:
    user.chaosctl("up")
    if death == "deleted":
        user.kubectl("delete", *CONTROLLER)
    else:
        user.kubectl("scale", "--replicas=0", *CONTROLLER)
    said = down(user)
    assert "the load balancer controller does not run" in said
