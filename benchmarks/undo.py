"""Does `kill -9` at any moment leave anything that an undo does not put back?

    python benchmarks/undo.py [--kills 100] [--seed 1] [--namespace NS] [--release NAME] [--context NAME]
                              [--helper-image IMAGE] [--json]

Needs a cluster with the app on it, reached by $KUBECONFIG: the lab after `chaosctl up`. A worker process goes through
cheap faults (a cordon, a replica count, an image, a helper) as a run does: undo entry on disk, fault, undo, entry
removed. It is killed at a random moment, seeded; then what is left is put back as the next run does it, and everything
that a fault can change is compared with how it was at the beginning. Reported are the moments that were hit, and what
was left.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaosctl.adapters.kube import AUTOSCALERS, DEPLOYMENTS, JOBS, NETWORK_POLICIES, NODES, Kube
from chaosctl.chaos.cluster import Helpers, Place
from chaosctl.chaos.experiment import Aim
from chaosctl.chaos.faults import FAULTS
from chaosctl.chaos.kube_cluster import KubeCluster
from chaosctl.chaos.undo import UndoLog
from chaosctl.lab.images import PYTHON

HELPERS = "app.kubernetes.io/name=chaosctl-helper"
CYCLE = (
    Aim(1, fault="node-drain"),
    Aim(2, fault="scale", options={"by": 1}),
    Aim(3, fault="bad-rollout", options={"kind": "image"}),
    Aim(4, fault="network-latency", options={"milliseconds": 1, "seconds": 600}),
)
LONGEST = 4.0  # seconds after the worker's first fault; a helper takes one or two to start


def main() -> None:
    options = _options()
    if options.work:
        work(options, Path(options.work))
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        "seed": options.seed,
        **measure(options),
    }
    print(json.dumps(report) if options.json else "\n".join(f"{key}: {value}" for key, value in report.items()))
    sys.exit(1 if report["left"] else 0)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    cluster, place = _cluster(options)
    before, dice = _state(cluster, place), random.Random(options.seed)
    moments: Counter[str] = Counter()
    left: list[str] = []
    with tempfile.TemporaryDirectory() as directory:
        for number in range(options.kills):
            moments[_kill_one(options, Path(directory), dice.uniform(0, LONGEST))] += 1
            put_back(cluster, Path(directory))
            after = _state(cluster, place)
            left += [
                f"kill {number}: {key}: {before[key]} -> {after[key]}" for key in before if before[key] != after[key]
            ]
    return {"kills": options.kills, "moments": dict(moments), "left": left}


def _kill_one(options: argparse.Namespace, directory: Path, after: float) -> str:
    """What the worker was doing when it was killed."""
    argv = [sys.executable, __file__, "--work", str(directory), "--namespace", options.namespace]
    argv += ["--release", options.release, "--helper-image", options.helper_image] + (
        ["--context", options.context] if options.context else []
    )
    worker = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert worker.stdout is not None
    worker.stdout.readline()
    time.sleep(after)
    worker.send_signal(signal.SIGKILL)
    said = worker.stdout.read().split()
    worker.wait()
    return said[-1] if said else "beginning"


def work(options: argparse.Namespace, directory: Path) -> None:
    """Fault after fault, until killed; says what it is about to do."""
    cluster, place = _cluster(options)
    log = UndoLog(directory)
    sys.stdout.write("ready\n")
    while True:
        for aim in CYCLE:
            fault = FAULTS[aim.fault]
            plan = fault.plan(aim, place, cluster)
            data = fault.undo_data(plan, cluster)
            for moment in ("writing", "injecting", "undoing", "removing"):
                sys.stdout.write(f"{aim.fault}:{moment}\n")
                sys.stdout.flush()
                if moment == "writing":
                    entry = log.write(fault.name, place.cluster, data)
                elif moment == "injecting":
                    next(fault.inject(plan, cluster, lambda: False))  # of a drain only the cordon
                elif moment == "undoing":
                    fault.undo(data, cluster)
                else:
                    log.remove(entry)


def put_back(cluster: KubeCluster, directory: Path) -> None:
    """As every run begins."""
    undo = {name: partial(fault.undo, cluster=cluster) for name, fault in FAULTS.items()}
    UndoLog(directory).put_back(cluster.identity(), undo)


def _state(cluster: KubeCluster, place: Place) -> dict[str, Any]:
    """All that a fault changes and an undo puts back."""
    nodes, apps = cluster.list(NODES), cluster.list(DEPLOYMENTS, place.namespace)
    return {
        "cordons": sorted(n["metadata"]["name"] for n in nodes if n["spec"].get("unschedulable")),
        "taints": {n["metadata"]["name"]: n["spec"]["taints"] for n in nodes if _taints(n)},
        "policies": sorted(p["metadata"]["name"] for p in cluster.list(NETWORK_POLICIES, place.namespace)),
        "autoscalers": {a["metadata"]["name"]: _bounds(a) for a in cluster.list(AUTOSCALERS, place.namespace)},
        "replicas": {d["metadata"]["name"]: d["spec"]["replicas"] for d in apps},
        "templates": {d["metadata"]["name"]: d["spec"]["template"]["spec"] for d in apps},
        "helpers": sorted(j["metadata"]["name"] for j in cluster.list(JOBS, cluster.helpers.namespace, HELPERS)),
    }


def _bounds(autoscaler: Any) -> tuple[int, int]:
    return autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]


def _taints(node: Any) -> bool:
    """Whether it has any but that of a cordon, which the controller takes away a moment after the cordon."""
    return any(taint["key"] != "node.kubernetes.io/unschedulable" for taint in node["spec"].get("taints") or ())


def _cluster(options: argparse.Namespace) -> tuple[KubeCluster, Place]:
    cluster = KubeCluster(
        Kube(Path(os.environ["KUBECONFIG"]), options.context or None), helpers=Helpers(options.helper_image)
    )
    selector = f"app.kubernetes.io/instance={options.release}"
    return cluster, Place(cluster.identity(), options.namespace, selector)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--namespace", default="chaotic-backend")
    parser.add_argument("--release", default="chaotic-backend")
    parser.add_argument("--context", default="")
    parser.add_argument("--helper-image", default=PYTHON, help="default: the lab's")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
