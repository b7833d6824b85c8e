"""Deployments that never become ready, each for a reason of its own, and how chaosctl's waiting for them ends."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from chaosctl.adapters.follow import Follow
from chaosctl.adapters.kube import EVENTS, NAMESPACES, PODS, Kube, Resource
from chaosctl.errors import StageFailed
from chaosctl.events import ignore
from chaosctl.stages.readiness import wait_for_rollout
from tests.lab.user import User

CONTEXT = "chaotic-backend-cluster"
TIMEOUT = 90.0  # seconds that the waiting may take
BACKEND = "docker.io/lucasscrt/chaotic-backend:latest"  # the stand-in: it has Python, and is on every node
SLEEP = ["python3", "-c", "import time; print('waiting for work', flush=True); time.sleep(600)"]
CRASH = ["python3", "-c", "raise SystemExit('cannot open the database')"]
GREEDY = ["python3", "-c", "print('loading', flush=True); x = b'x' * (200 << 20)"]
WEBHOOKS = Resource("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", namespaced=False)
Objects = Sequence[Mapping[str, Any]]


def _probe(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": 9}, "periodSeconds": 1, "failureThreshold": 2}


def _containers(pods: Objects) -> Iterator[Mapping[str, Any]]:
    for pod in pods:
        yield from pod.get("status", {}).get("containerStatuses") or ()


def _no_image(pods: Objects, events: Objects) -> bool:
    reasons = {c["state"].get("waiting", {}).get("reason") for c in _containers(pods)}
    return bool(reasons & {"ErrImagePull", "ImagePullBackOff"})


def _looping(pods: Objects, events: Objects) -> bool:
    return any(c["restartCount"] >= 2 for c in _containers(pods))


def _unschedulable(pods: Objects, events: Objects) -> bool:
    return any(c.get("reason") == "Unschedulable" for p in pods for c in p.get("status", {}).get("conditions") or ())


def _not_created(pods: Objects, events: Objects) -> bool:
    return any(event.get("reason") == "FailedCreate" for event in events)


def _never(pods: Objects, events: Objects) -> bool:
    return False


@dataclass(frozen=True)
class Fault:
    """`container` is its template, `terminal` whether nothing will change any more, `says` what has to be told."""

    container: Mapping[str, Any]
    terminal: Callable[[Objects, Objects], bool]
    object: str
    says: tuple[str, ...]


FAULTS: Mapping[str, Fault] = {
    "image": Fault(
        {"image": "localhost:9/no/such:1"}, _no_image, "Pod image/main-", ("localhost:9/no/such:1", "event: Failed")
    ),
    "crash-loop": Fault(
        {"command": CRASH, "readinessProbe": _probe("/ready")},
        _looping,
        "Pod crash-loop/main-",
        ("exit status 1", "log: cannot open the database"),
    ),
    "out-of-memory": Fault(
        {"command": GREEDY, "resources": {"limits": {"memory": "32Mi"}}, "readinessProbe": _probe("/ready")},
        _looping,
        "Pod out-of-memory/main-",
        ("OOMKilled", "memory limit is 32Mi", "log: loading"),
    ),
    "unschedulable": Fault(
        {"command": SLEEP, "resources": {"requests": {"cpu": "64"}}},
        _unschedulable,
        "Pod unschedulable/main-",
        ("Insufficient cpu", "event: FailedScheduling"),
    ),
    "failing-readiness": Fault(
        {"command": SLEEP, "readinessProbe": _probe("/ready")},
        _never,  # it may still come: it gets its time
        "Pod failing-readiness/main-",
        ("Readiness probe failed", "log: waiting for work"),
    ),
    "failing-liveness": Fault(
        {"command": SLEEP, "livenessProbe": _probe("/live"), "readinessProbe": _probe("/live")},
        _looping,
        "Pod failing-liveness/main-",
        ("Liveness probe failed", "log: waiting for work"),
    ),
    "webhook-down": Fault(
        {"command": SLEEP},
        _not_created,
        "webhook mpod.example.com (Service webhook-down/nobody)",
        ('service "nobody" not found', "event: FailedCreate"),
    ),
}


@dataclass(frozen=True)
class Ended:
    """How the waiting ended: after `seconds` in all, and `since` seconds after nothing could change any more (nan:
    that was never so)."""

    error: StageFailed
    seconds: float
    since: float


@contextmanager
def cluster(user: User) -> Iterator[Kube]:
    """A cluster with nodes, and nothing else in it."""
    user.kubeconfig.write_text("")
    try:
        for stage in (("lab", "start"), ("infra",), ("kubeconfig",)):
            user.chaosctl(*stage)
        token = json.loads(
            user.run("chaosctl", "token", "--cluster-name", CONTEXT, "--region", "us-west-2", "--target", "lab").stdout
        )["status"]["token"]
        yield Kube(user.kubeconfig, CONTEXT, token=lambda: str(token))
    finally:
        user.chaosctl("lab", "stop", "--yes", status=None)


def seed_all(kube: Kube) -> dict[str, Ended]:
    """All faults at once, each in a namespace of its own: they do not disturb each other. By fault, how it ended."""
    kube.apply(_webhook("webhook-down"))
    for name in FAULTS:
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        kube.apply(_deployment(name))
    with ThreadPoolExecutor(len(FAULTS)) as pool:
        ended = dict(zip(FAULTS, pool.map(lambda name: _ended(kube, name), FAULTS), strict=True))
    kube.delete(WEBHOOKS, "webhook-down")
    for name in FAULTS:
        kube.delete(NAMESPACES, name)
    return ended


def _ended(kube: Kube, name: str) -> Ended:
    started, final, over = time.monotonic(), math.nan, threading.Event()

    def watch() -> None:
        nonlocal final
        with Follow(kube, PODS, name) as pods, Follow(kube, EVENTS, name) as events:
            while not FAULTS[name].terminal(pods.objects(), events.objects()):
                if over.wait(0.1):
                    return
        final = time.monotonic()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        wait_for_rollout(kube, name, "main", timeout=TIMEOUT, emit=ignore)
    except StageFailed as error:
        now = time.monotonic()
        return Ended(error, now - started, now - final)
    finally:
        over.set()
        watcher.join()
    raise AssertionError(f"{name} became ready")


def _deployment(name: str) -> dict[str, Any]:
    container = {"name": "main", "image": BACKEND, "imagePullPolicy": "IfNotPresent", **FAULTS[name].container}
    labels = {"app": name}
    pod = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "main", "namespace": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _webhook(namespace: str) -> dict[str, Any]:
    """For the pods of one namespace; its Service does not exist."""
    hook = {
        "name": "mpod.example.com",
        "clientConfig": {"service": {"namespace": namespace, "name": "nobody", "path": "/mutate"}},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 2,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [hook],
    }
