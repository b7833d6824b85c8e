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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from chaosctl.adapters.kube import JOBS, PODS, NotFound
from chaosctl.adapters.pod import Pod
from chaosctl.chaos.cluster import Cluster, Object
from chaosctl.chaos.undo import each
from chaosctl.errors import ChaosctlError, PreconditionFailed, StageFailed, Unreachable
from chaosctl.waiting import TimedOut, wait_until

LABEL = "chaosctl.dev/helper"
ALL = "app.kubernetes.io/name=chaosctl-helper"
START_WITHIN = 60.0  # seconds; the image may have to be pulled
SECURITY = "PodSecurity"  # in what the API server says when the namespace's level forbids a pod
END_WITHIN = 40.0  # seconds
GRACE = 5  # seconds from SIGTERM, on which it ends at once, to SIGKILL
KEPT = 120  # seconds that one which has ended can still be asked
GLANCE = 0.1  # seconds between two looks
AT_ONCE = 8  # logs that are asked for at the same time

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
    """What was heard of a helper: its agent's last word; or an empty state, and what keeps it from starting.

    at  seconds of time.monotonic() when it was heard
    """

    state: str
    said: str = ""
    at: float = 0.0


def name_of(fault: str, uid: str) -> str:
    """What the helper is called that does this to the pod with this UID."""
    return f"chaosctl-{fault}-{hashlib.sha256(uid.encode()).hexdigest()[:10]}"


def refused(cluster: Cluster) -> str:
    """Why the cluster admits no helper; empty when it would. Raises Unreachable when nobody can be asked."""
    where = cluster.helpers.namespace
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "chaosctl-helper", "namespace": where}}
    try:
        cluster.create(PODS, {**pod, "spec": _pod(cluster, "", {})}, dry_run=True)
    except NotFound:
        return f"there is no namespace {where} for helpers (chaos.helper_namespace)"
    except Unreachable:
        raise  # nobody has said no
    except PreconditionFailed as error:
        if SECURITY not in error.why:
            return f"these credentials may not start a helper in the namespace {where}: {error.why}"
        return f"the namespace {where} admits no privileged pod: {error.why}"
    except ChaosctlError as error:
        return f"a helper cannot be started in the namespace {where}: {error.why or error}"
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


def hear(cluster: Cluster, names: Sequence[str]) -> dict[str, Word]:
    """The last word of each helper: one list for all of them, then their logs at once.

    `Word.at` is taken when the word arrives here. The agent's own clock is its node's, which need not agree with this
    machine's, so it is not used. Since the agent spoke there passed at most the time between two looks (GLANCE), one
    list and one request for a log; that much later than the truth a fault counts as injected.
    """
    if not names:
        return {}
    found = _pods(cluster, cluster.helpers.namespace, names)
    with ThreadPoolExecutor(max(1, min(len(found), AT_ONCE))) as pool:
        words = dict(zip(found, pool.map(partial(_word, cluster), found.values()), strict=True))
    missing = Word("", "the cluster has not made its pod", time.monotonic())
    return {name: words.get(name, missing) for name in names}


def end(cluster: Cluster, namespace: str, names: Sequence[str]) -> int:
    """End helpers, and see that what they did is over; how many there still were.

    Each is tried. Raises StageFailed (CHAOS-HELPER-STUCK) when one does not end, or what the API says.
    """
    ended = each((f"the helper {name}", partial(_remove, cluster, namespace, name)) for name in names)

    def gone() -> tuple[bool, str]:
        left = _acting(cluster, namespace, names)
        return not left, ", ".join(left)

    try:
        wait_until(gone, "its end", timeout=END_WITHIN, emit=lambda event: None, interval=GLANCE)
    except TimedOut as late:
        raise StageFailed(
            "a helper does not end",
            code="CHAOS-HELPER-STUCK",
            why=f"{late.detail} in {namespace}, {END_WITHIN:g} s after it was deleted",
            remedy="what it does ends with its time; see to its node, then run `chaosctl chaos --undo`",
        ) from late
    return len([name for name in ended if name])


def _remove(cluster: Cluster, namespace: str, name: str) -> str:
    """Ask for the end of its Job and its pod; its name if there was any of them."""
    known = cluster.remove(JOBS, name, namespace)
    for pod in _pods(cluster, namespace, (name,)).values():
        known = cluster.remove(PODS, pod["metadata"]["name"], namespace) or known
    return name if known else ""


def _acting(cluster: Cluster, namespace: str, names: Sequence[str]) -> list[str]:
    """Pods that have not ended; one that says so itself counts as ended before its kubelet has noticed."""
    found = _pods(cluster, namespace, names).values()
    return [pod["metadata"]["name"] for pod in found if _word(cluster, pod).state not in (CANNOT, OVER)]


def _pods(cluster: Cluster, namespace: str, names: Sequence[str]) -> dict[str, Object]:
    """The pod of each helper that has one, by the helper's name."""
    listed = cluster.list(PODS, namespace, labels=ALL if len(names) != 1 else f"{LABEL}={names[0]}")
    found = {(pod["metadata"].get("labels") or {}).get(LABEL, ""): pod for pod in listed}
    return {name: found[name] for name in names if name in found}


def _word(cluster: Cluster, pod: Object) -> Word:
    status = pod.get("status", {})
    phase = status.get("phase")
    # A container that has not run has no log; asking for one is a request that the API answers with an error.
    line = "" if phase == "Pending" else cluster.last_line(pod)
    at = time.monotonic()
    try:
        said = json.loads(line)
        return Word(said["state"], said["said"], at)
    except (ValueError, KeyError, TypeError):
        wrong = line or status.get("message") or status.get("reason") or Pod.of(pod).trouble
    return Word(CANNOT if phase in ("Failed", "Succeeded") else "", wrong, at)


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
