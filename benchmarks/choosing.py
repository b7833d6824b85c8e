"""How long does it take, and how much memory, to choose a victim among very many pods?

    python benchmarks/choosing.py [--pods 10000] [--rounds 3] [--context NAME] [--peers PYTHON] [--json]

Needs a cluster with the app on it, reached by $KUBECONFIG: the lab after `chaosctl up`. In a namespace of its own it
makes copies of a pod of the app and writes their status (Running, Ready) through the API: real objects on a real API
server, but no node and no process behind them. Then chaosctl's plan, the typed Python client and the Chaos Toolkit's
extension for Kubernetes choose one of them, each in a process of its own, in turns: seconds of the choice itself, of
the whole process, and of its processor time, which the load of the machine changes least. It begins once controllers
and scheduler on this machine have digested what was made, which takes minutes. Passes when chaosctl's median is under
3 s and its memory under 100 MB. The peers live in an environment made from benchmarks/peers_kubernetes.txt.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from benchmarks.peers import peers_python
from chaosctl.adapters.kube import NAMESPACES, PODS, Kube, Resource
from chaosctl.chaos.cluster import Place
from chaosctl.chaos.experiment import Aim
from chaosctl.chaos.faults import FAULTS
from chaosctl.chaos.kube_cluster import KubeCluster
from chaosctl.waiting import wait_until

HERE = Path(__file__).resolve().parent
NAMESPACE = "chaosctl-benchmark"
LABELS = {"app.kubernetes.io/instance": "benchmark"}
SELECTOR = "app.kubernetes.io/instance=benchmark"
APP = "app.kubernetes.io/instance=chaotic-backend"
CONFIG_MAPS = Resource("", "v1", "configmaps")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts")
WRITERS = 8  # at once
BUSY, QUIET_WITHIN = 25.0, 900.0  # per cent of all processors, and seconds
SECONDS, MEGABYTES = 3.0, 100.0
WAYS = ("chaosctl", "typed Python client", "chaostoolkit-kubernetes")
ARGUMENTS = {"typed Python client": "typed", "chaostoolkit-kubernetes": "chaostoolkit"}
Kept = dict[str, list[dict[str, float]]]


def main() -> None:
    options = _options()
    if options.choose:
        choose(options)
        return
    peers = Path(options.peers) if options.peers else peers_python("kubernetes")
    kube = Kube(Path(os.environ["KUBECONFIG"]), options.context)
    with many_pods(kube, options.pods) as made_in:
        quiet_after = until_quiet()
        found: Kept = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way in WAYS:
                found[way].append(_measure(way, peers, options.context))
    report = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": os.getloadavg()[0],
        "pods": options.pods,
        "made_in_seconds": round(made_in, 1),
        "quiet_after_seconds": round(quiet_after, 1),
        "ways": {way: _summary(runs) for way, runs in found.items()},
    }
    print(json.dumps(report, indent=2) if options.json else _text(report))
    ours = report["ways"]["chaosctl"]  # type: ignore[index]
    sys.exit(not (ours["seconds"] < SECONDS and ours["peak_mb"] < MEGABYTES))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--context", default="chaotic-backend-cluster", help="of $KUBECONFIG")
    parser.add_argument("--peers", default="", help="Python with the packages of benchmarks/peers_kubernetes.txt")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--choose", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def choose(options: argparse.Namespace) -> None:
    """What `chaosctl chaos --kill-pods` does before anything else; its figures as JSON."""
    begun = time.monotonic()
    cluster = KubeCluster(Kube(Path(os.environ["KUBECONFIG"]), options.context))
    plan = FAULTS["pod-kill"].plan(Aim(seed=1), Place(cluster.identity(), NAMESPACE, SELECTOR), cluster)
    seconds = time.monotonic() - begun
    print(json.dumps({"pods": plan.ready, "seconds": seconds, **used()}))


def used() -> dict[str, float]:
    """What this process took so far: seconds of processor time, and its highest memory in MB."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}


def _measure(way: str, peers: Path, context: str) -> dict[str, float]:
    """One choice in a process of its own; `whole` is the process from its start to its end, in seconds."""
    if way == "chaosctl":
        argv = [sys.executable, __file__, "--choose", "--context", context]
    else:
        argv = [str(peers), str(HERE / "peer_choice.py"), ARGUMENTS[way], os.environ["KUBECONFIG"], context, NAMESPACE,
                SELECTOR]  # fmt: skip
    begun = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{way}: {done.stderr[-2000:]}")
    return {**json.loads(done.stdout), "whole": time.monotonic() - begun}


@contextmanager
def many_pods(kube: Kube, count: int) -> Iterator[float]:
    """So many ready pods in a namespace of their own; yields in how many seconds they were made."""
    begun = time.monotonic()
    pattern = _pattern(kube)
    kube.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    try:
        wait_until(
            lambda: (kube.get(SERVICE_ACCOUNTS, "default", NAMESPACE), ""),
            "a ServiceAccount for the pods",
            timeout=60,
            emit=lambda event: None,
        )
        owner = kube.create(
            CONFIG_MAPS,
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": NAMESPACE}},
        )
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(lambda number: _make(kube, pattern, number, owner["metadata"]["uid"]), range(count)))
        yield time.monotonic() - begun
    finally:
        kube.delete(NAMESPACES, NAMESPACE)


def until_quiet() -> float:
    """Wait until the cluster has digested so many new pods, when it shares this machine; in how many seconds it had."""
    begun = time.monotonic()

    def looked() -> tuple[bool, str]:
        busy = psutil.cpu_percent(interval=5)
        return busy < BUSY, f"processors are {busy:.0f} % busy"

    wait_until(looked, "the cluster to be quiet", timeout=QUIET_WITHIN, emit=lambda event: None)
    return time.monotonic() - begun


def _pattern(kube: Kube) -> dict[str, Any]:
    """A pod of the app as a manifest and a status; nothing schedules it and nothing else owns it."""
    running = kube.list(PODS, labels=APP)
    if not running:
        sys.exit("there is no pod of the app to copy: run `chaosctl up` first")
    found = copy.deepcopy(running[0])
    spec = found["spec"]
    for key in ("nodeName", "serviceAccountName", "serviceAccount", "priority", "preemptionPolicy"):
        spec.pop(key, None)
    spec |= {"schedulerName": NAMESPACE, "automountServiceAccountToken": False}
    return {"spec": spec, "status": found["status"]}


def _make(kube: Kube, pattern: Mapping[str, Any], number: int, owner: str) -> None:
    name = f"benchmark-5d7b758dcb-{number:05d}"
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "labels": LABELS,
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner, "controller": True}
        ],
    }
    kube.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pattern["spec"]})
    kube.call(
        "PATCH",
        f"{PODS.path(NAMESPACE, name)}/status",
        {},
        {"status": pattern["status"]},
        content_type="application/merge-patch+json",
    )


def _summary(runs: list[dict[str, float]]) -> dict[str, float]:
    return {
        "pods": runs[0]["pods"],
        "seconds": round(statistics.median(run["seconds"] for run in runs), 2),
        "whole_seconds": round(statistics.median(run["whole"] for run in runs), 2),
        "cpu_seconds": round(statistics.median(run["cpu_seconds"] for run in runs), 2),
        "peak_mb": round(max(run["peak_mb"] for run in runs), 1),
    }


def _text(report: Mapping[str, Any]) -> str:
    lines = [
        f"{report['machine']}, load {report['load']:.1f}",
        f"{report['pods']} pods, made in {report['made_in_seconds']:.0f} s, idle {report['quiet_after_seconds']:.0f} s "
        "later; medians, and the highest memory",
        "",
        f"{'':<26}{'pods':>8}{'choosing':>12}{'process':>12}{'processor':>12}{'memory':>12}",
    ]
    lines += [
        f"{way:<26}{of['pods']:>8}{of['seconds']:>10.2f} s{of['whole_seconds']:>10.2f} s{of['cpu_seconds']:>10.2f} s"
        f"{of['peak_mb']:>9.0f} MB"
        for way, of in report["ways"].items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
