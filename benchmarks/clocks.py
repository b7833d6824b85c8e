"""How far are the three recovery clocks from the truth?

    python benchmarks/clocks.py [--runs 60] [--seed 1] [--json]

Each run is a whole one: the real runner kills a pod through the real Kubernetes adapter, watches pods over HTTP, polls
targets, and measures a real server with the real prober. API server and load balancer are small ones that do what a
seeded script says, and write down when: the deletion is answered, the replacement becomes Ready, its target healthy,
and the server, which fails from the deletion on, good again. Passes when every clock of every run is within 250 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaosctl.chaos import runner
from chaosctl.chaos.cluster import Place, TargetState
from chaosctl.chaos.experiment import Aim, Budgets, Experiment, Timing, TrafficPlan
from chaosctl.chaos.faults import FAULTS
from chaosctl.chaos.kube_cluster import KubeCluster
from chaosctl.chaos.outage import percentile
from chaosctl.chaos.recovery import Clocks
from chaosctl.chaos.result import Result
from chaosctl.chaos.traffic import ProberProcess
from chaosctl.chaos.undo import UndoLog
from tests.contract.chaos.driver import FaultyServer, faulty_server
from tests.unit.adapters.api_server import ApiServer, api_server

ALLOWED_MS = 250.0
ANSWERS_AFTER = 0.03  # seconds that the load balancer's API takes for an answer, as that of the lab does
LABELS = {"app.kubernetes.io/instance": "shop"}
PLACE = Place("cluster-uid", "shop", "app.kubernetes.io/instance=shop")
PODS = f"/api/v1/namespaces/{PLACE.namespace}/pods"
TIMING = Timing(steady=0.5, observe=0.5, clean=1.0, give_up=20.0)
RATE = 100.0
LATEST = 3.0  # seconds after the deletion at which the last thing recovers


@dataclass(frozen=True)
class Error:
    """How far one clock was off, in milliseconds: of all runs."""

    clock: str
    runs: int
    median_ms: float
    p95_ms: float
    worst_ms: float


def main() -> None:
    options = _options()
    dice, found = random.Random(options.seed), list[dict[str, float]]()
    for number in range(options.runs):
        found.append(measure(random.Random(dice.random())))
        print(f"run {number + 1} of {options.runs}", end="\r", file=sys.stderr, flush=True)
    errors = [_error(clock, [run[clock] for run in found]) for clock in found[0]]
    report = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": os.getloadavg()[1],
        "seed": options.seed,
        "clocks": [asdict(error) for error in errors],
    }
    print(json.dumps(report, indent=2) if options.json else _text(report, errors))
    sys.exit(any(error.worst_ms > ALLOWED_MS for error in errors))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def measure(dice: random.Random) -> dict[str, float]:
    """One run; by how many milliseconds each clock is off."""
    with tempfile.TemporaryDirectory() as name, api_server(Path(name)) as (api, kube), faulty_server() as backend:
        scene = Scene(api, backend, dice)
        result = _run(KubeCluster(kube), scene, Path(name))
        scene.thread.join()
    shown, truth = asdict(_whole(result)), asdict(scene.truth())
    return {clock: 1000 * (shown[clock] - truth[clock]) for clock in truth}


def _run(cluster: KubeCluster, scene: Scene, directory: Path) -> Result:
    aim = Aim(seed=1, consent=True)
    experiment = Experiment(
        environment="default",
        target="benchmark",
        aim=aim,
        plan=FAULTS[aim.fault].plan(aim, PLACE, cluster),
        traffic=TrafficPlan(scene.url, RATE, timeout=0.5, expected_keys=("users",)),
        budgets=Budgets(success_percent=0, downtime_seconds=60),
        timing=TIMING,
    )
    world = runner.World(
        cluster=cluster,
        targets=scene.targets,
        start_traffic=ProberProcess,
        undo=UndoLog(directory / "undo"),
        interrupt=threading.Event(),
        emit=lambda event: None,
    )
    return runner.run(experiment, world)


def _whole(result: Result) -> Clocks:
    if None in asdict(result.clocks).values():
        sys.exit(f"a clock did not stop: {result.verdict.value}: {'; '.join(result.reasons)}")
    return result.clocks


class Scene:
    """One pod, its target and its server. Once the pod is deleted a script brings another one, at seeded moments."""

    def __init__(self, api: ApiServer, backend: FaultyServer, dice: random.Random) -> None:
        self.url = f"http://127.0.0.1:{backend.port}/probe/data"
        self._api, self._backend = api, backend
        self._after = {step: dice.uniform(0.2, LATEST) for step in ("ready", "healthy", "good")}
        self._at: dict[str, float] = {}
        self._addresses = ["10.0.0.1"]
        self._version = 1
        self.thread = threading.Thread(target=self._play)
        api.put("/api/v1/namespaces/kube-system", {"metadata": {"name": "kube-system", "uid": PLACE.cluster}})
        api.on_delete = self._deleted
        self._pod("ADDED", 1, ready=True)

    def truth(self) -> Clocks:
        """What the clocks should show: seconds from the answer to the deletion."""
        zero = self._at["deleted"]
        replaced, good = self._at["ready"] - zero, self._at["good"] - zero
        # A target is that of the replacement only once the replacement is known, and its address with it.
        return Clocks(replaced, max(self._at["healthy"], self._at["born"]) - zero, good)

    def targets(self) -> Sequence[TargetState]:
        """As the load balancer's API: what it answers is a moment old."""
        found = [TargetState(address, 3000, "healthy") for address in self._addresses]
        time.sleep(ANSWERS_AFTER)
        return found

    def _deleted(self, path: str) -> None:
        self._backend.become("5xx")
        self._addresses = []
        self._at["deleted"] = time.monotonic()
        self.thread.start()

    def _play(self) -> None:
        self._pod("DELETED", 1, ready=False)
        self._pod("ADDED", 2, ready=False)
        self._at["born"] = time.monotonic()
        for step, after in sorted(self._after.items(), key=lambda pair: pair[1]):
            time.sleep(max(0.0, self._at["deleted"] + after - time.monotonic()))
            self._at[step] = self._take(step)

    def _take(self, step: str) -> float:
        """Let it happen; when it did."""
        if step == "good":
            return self._backend.become("ok")
        if step == "ready":
            self._pod("MODIFIED", 2, ready=True)
        else:
            self._addresses = ["10.0.0.2"]
        return time.monotonic()

    def _pod(self, change: str, number: int, *, ready: bool) -> None:
        self._version += 1
        name = f"web-{number}"
        pod = {
            "metadata": {
                "name": name,
                "namespace": PLACE.namespace,
                "uid": f"uid-{number}",
                "labels": LABELS,
                "resourceVersion": str(self._version),
                "ownerReferences": [{"kind": "ReplicaSet", "name": "shop", "uid": "rs-1", "controller": True}],
            },
            "spec": {"nodeName": "node-a"},
            "status": {
                "phase": "Running",
                "podIP": f"10.0.0.{number}",
                "conditions": [{"type": "Ready", "status": str(ready)}],
            },
        }
        if change == "DELETED":
            self._api.objects.pop(f"{PODS}/{name}")
        else:
            self._api.put(f"{PODS}/{name}", pod)
        if number > 1 or change == "DELETED":  # what exists when a watch begins is listed, not told
            self._api.tell(PODS, change, pod)


def _error(clock: str, off: Sequence[float]) -> Error:
    sizes = sorted(abs(ms) for ms in off)
    return Error(
        clock,
        len(sizes),
        round(statistics.median(sizes), 1),
        round(percentile(sizes, 95), 1),
        round(sizes[-1], 1),
    )


def _text(report: dict[str, object], errors: Sequence[Error]) -> str:
    lines = [f"{report['machine']}, load {report['load']:.1f}, seed {report['seed']}", ""]
    lines.append(f"{'clock':<16}{'runs':>6}{'median':>12}{'p95':>12}{'worst':>12}")
    lines += [
        f"{error.clock:<16}{error.runs:>6}{error.median_ms:>9.1f} ms{error.p95_ms:>9.1f} ms{error.worst_ms:>9.1f} ms"
        for error in errors
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
