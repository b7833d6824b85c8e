"""Helpers: short-lived pods on a victim's node, for what no API call can do to it. In them runs chaos/agent.

A Job keeps each: it ends by itself when its time is over, and the cluster removes it soon after, even if nobody comes
back for it. Helpers have a namespace of their own to be in, since they may do anything on their node.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl.adapters.kube import JOBS, PODS
from chaosctl.adapters.pod import Pod
from chaosctl.chaos.cluster import Cluster, Object
from chaosctl.errors import ChaosctlError, StageFailed

LABEL = "chaosctl.dev/helper"
START_WITHIN = 60.0  # seconds; the image may have to be pulled
END_WITHIN = 40.0  # seconds
GRACE = 5  # seconds from SIGTERM, on which it ends at once, to SIGKILL
KEPT = 120  # seconds that one which has ended can still be asked
GLANCE = 0.1  # seconds between two looks

ACTING, CANNOT, OVER = "acting", "cannot", "over"  # states of an agent, as its main.py says them

_MODULES = ("act", "container", "crash", "pressure", "network", "main")  # each imports only those before it
_LOADER = """\
import sys, types
task, *modules = sys.argv[1:]
for name, source in zip(modules[::2], modules[1::2]):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
module.main(task)
"""


@dataclass(frozen=True)
class Word:
    """What was heard of a helper: its agent's last word; or an empty state, and what keeps it from starting."""

    state: str
    said: str = ""


def name_of(fault: str, uid: str) -> str:
    """What the helper is called that does this to the pod with this UID."""
    return f"chaosctl-{fault}-{hashlib.sha256(uid.encode()).hexdigest()[:10]}"


def refused(cluster: Cluster) -> str:
    """Why the cluster admits no helper; empty when it would."""
    where = cluster.helpers.namespace
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "chaosctl-helper", "namespace": where}}
    try:
        cluster.create(PODS, {**pod, "spec": _pod(cluster, "", {})}, dry_run=True)
    except ChaosctlError as error:
        return f"the namespace {where} admits no privileged pod: {error.why}"
    return ""


def start(cluster: Cluster, name: str, node: str, task: Mapping[str, Any]) -> None:
    """Start one on a node. Raises ChaosctlError when the API refuses it."""
    labels = {"app.kubernetes.io/name": "chaosctl-helper", "app.kubernetes.io/managed-by": "chaosctl", LABEL: name}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": cluster.helpers.namespace, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": math.ceil(task["seconds"] + START_WITHIN),
            "ttlSecondsAfterFinished": KEPT,
            "template": {"metadata": {"labels": labels}, "spec": _pod(cluster, node, task)},
        },
    }
    cluster.create(JOBS, job)


def hear(cluster: Cluster, name: str) -> Word:
    """The last word of a helper."""
    found = _pods(cluster, cluster.helpers.namespace, name)
    return _word(cluster, found[0]) if found else Word("", "the cluster has not made its pod")


def end(cluster: Cluster, namespace: str, names: Sequence[str]) -> int:
    """End helpers, and see that what they did is over; how many there still were.

    Raises StageFailed (CHAOS-HELPER-STUCK) when one does not end.
    """
    known = sum(cluster.remove(JOBS, name, namespace) for name in names)
    ending = [pod for name in names for pod in _pods(cluster, namespace, name)]
    for pod in ending:
        cluster.remove(PODS, pod["metadata"]["name"], namespace)
    deadline = time.monotonic() + END_WITHIN
    while left := [pod["metadata"]["name"] for name in names for pod in _acting(cluster, namespace, name)]:
        if time.monotonic() >= deadline:
            raise StageFailed(
                "a helper does not end",
                code="CHAOS-HELPER-STUCK",
                why=f"{', '.join(left)} in {namespace}, {END_WITHIN:g} s after it was deleted",
                remedy="what it does ends with its time; see to its node, then run `chaosctl chaos --undo`",
            )
        time.sleep(GLANCE)
    return max(known, len(ending))


def _acting(cluster: Cluster, namespace: str, name: str) -> list[Object]:
    """Its pods that have not ended; one that says so itself counts as ended before its kubelet has noticed."""
    return [pod for pod in _pods(cluster, namespace, name) if _word(cluster, pod).state not in (CANNOT, OVER)]


def _pods(cluster: Cluster, namespace: str, name: str) -> Sequence[Object]:
    return cluster.list(PODS, namespace, labels=f"{LABEL}={name}")


def _word(cluster: Cluster, pod: Object) -> Word:
    line = cluster.last_line(pod)
    status = pod.get("status", {})
    try:
        said = json.loads(line)
        return Word(said["state"], said["said"])
    except (ValueError, KeyError, TypeError):
        wrong = line or status.get("message") or status.get("reason") or Pod.of(pod).trouble
    return Word(CANNOT if status.get("phase") in ("Failed", "Succeeded") else "", wrong)


def _pod(cluster: Cluster, node: str, task: Mapping[str, Any]) -> Object:
    """Its spec. It runs on that node even if that takes no pods, and needs no address of its own."""
    container = {
        "name": "helper",
        "image": cluster.helpers.image,
        "imagePullPolicy": "IfNotPresent",
        "command": _command(task),
        "securityContext": {"privileged": True, "runAsUser": 0, "readOnlyRootFilesystem": True},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "volumeMounts": [{"name": "cgroup", "mountPath": "/host/cgroup"}],
    }
    return {
        "nodeName": node,
        "hostPID": True,
        "hostNetwork": True,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "cgroup", "hostPath": {"path": "/sys/fs/cgroup", "type": "Directory"}}],
    }


def _command(task: Mapping[str, Any]) -> list[str]:
    agent = Path(__file__).with_name("agent")
    modules = [(f"chaosctl.chaos.agent.{module}", (agent / f"{module}.py").read_text()) for module in _MODULES]
    return ["python3", "-c", _LOADER, json.dumps(dict(task)), *(word for module in modules for word in module)]
