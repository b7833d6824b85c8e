"""Faults seeded into a real cluster are named, with object, reason, event and log, soon after they are final."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chaosctl.adapters.kube import NAMESPACES, Kube
from chaosctl.errors import StageFailed
from chaosctl.events import ignore
from chaosctl.stages.readiness import wait_for_rollout
from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak]
NAMESPACE, CONTEXT = "faults", "chaotic-backend-cluster"
BACKEND = "docker.io/lucasscrt/chaotic-backend:latest"  # the stand-in: it has Python, and is on every node
SLEEP = ["python3", "-c", "import time; print('waiting for work', flush=True); time.sleep(600)"]
CRASH = ["python3", "-c", "raise SystemExit('cannot open the database')"]
GREEDY = ["python3", "-c", "print('loading', flush=True); x = b'x' * (200 << 20)"]


def probe(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": 9}, "periodSeconds": 1, "failureThreshold": 2}


FAULTS: dict[str, dict[str, Any]] = {
    "image": {"image": "localhost:9/no/such:1"},
    "crash-loop": {"command": CRASH, "readinessProbe": probe("/ready")},
    "out-of-memory": {
        "command": GREEDY,
        "resources": {"limits": {"memory": "32Mi"}},
        "readinessProbe": probe("/ready"),
    },
    "unschedulable": {"command": SLEEP, "resources": {"requests": {"cpu": "64"}}},
    "failing-readiness": {"command": SLEEP, "readinessProbe": probe("/ready")},
    "failing-liveness": {"command": SLEEP, "livenessProbe": probe("/live"), "readinessProbe": probe("/live")},
}
SAYS = {
    "image": ("localhost:9/no/such:1", "event: Failed"),
    "crash-loop": ("exit status 1", "log: cannot open the database"),
    "out-of-memory": ("OOMKilled", "memory limit is 32Mi", "log: loading"),
    "unschedulable": ("Insufficient cpu", "event: FailedScheduling"),
    "failing-readiness": ("Readiness probe failed", "log: waiting for work"),
    "failing-liveness": ("Liveness probe failed", "log: waiting for work"),
}


def deployment(name: str) -> dict[str, Any]:
    container = {"name": "main", "image": BACKEND, "imagePullPolicy": "IfNotPresent", **FAULTS[name]}
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
        },
    }


@pytest.fixture(scope="module")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """A cluster without the app: `controller` is as far as these tests need it."""
    user = User(tmp_path_factory.mktemp("user"))
    user.kubeconfig.write_text("")
    try:
        user.chaosctl("lab", "start")
        user.chaosctl("infra")
        user.chaosctl("kubeconfig")
        kube = Kube(user.kubeconfig, CONTEXT, token=lambda: _token(user))
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        yield kube
    finally:
        user.chaosctl("lab", "stop", "--yes", status=None)


def _token(user: User) -> str:
    if "token" not in user.__dict__:
        said = user.run("chaosctl", "token", "--cluster-name", CONTEXT, "--region", "us-west-2", "--target", "lab")
        user.__dict__["token"] = json.loads(said.stdout)["status"]["token"]
    return str(user.__dict__["token"])


@pytest.fixture(scope="module")
def failures(kube: Kube) -> dict[str, tuple[StageFailed, float]]:
    """By fault: how the wait for it ended, and after how many seconds. All at once: they do not disturb each other."""
    for name in FAULTS:
        kube.apply(deployment(name))
    with ThreadPoolExecutor(len(FAULTS)) as pool:
        ended = dict(zip(FAULTS, pool.map(lambda name: _failure(kube, name), FAULTS), strict=True))
    kube.delete(NAMESPACES, NAMESPACE)
    return ended


def _failure(kube: Kube, name: str) -> tuple[StageFailed, float]:
    started = time.monotonic()
    with pytest.raises(StageFailed) as failure:
        wait_for_rollout(kube, NAMESPACE, name, timeout=90, emit=ignore)
    return failure.value, time.monotonic() - started


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(failures: dict[str, tuple[StageFailed, float]], name: str) -> None:
    error, _ = failures[name]
    assert error.code == "NOT-READY"
    assert name.replace("-", " ") in error.what
    assert f"Pod {NAMESPACE}/{name}-" in error.why
    for part in SAYS[name]:
        assert part in error.why


@pytest.mark.parametrize("name", [n for n in FAULTS if n != "failing-readiness"])
def test_nobody_waits_for_what_is_hopeless(failures: dict[str, tuple[StageFailed, float]], name: str) -> None:
    assert failures[name][1] < 60


def test_a_readiness_that_may_still_come_gets_its_time(failures: dict[str, tuple[StageFailed, float]]) -> None:
    assert failures["failing-readiness"][1] > 89
