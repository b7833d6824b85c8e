"""How soon does an injection stop once a budget is exceeded, or Ctrl-C was pressed?

    python benchmarks/abort.py [--runs 20] [--seed 1] [--json]

The real runner deletes twenty pods one after the other through the real Kubernetes adapter; the API server takes 0.1 to
0.3 s for each. With the first deletion a real server begins to fail under the real prober, until half a second of
downtime, the budget, is spent: by errors, or by silence, of which no request has timed out by then. Or the run is
interrupted at a seeded moment. Measured is from that moment to the last deletion that the API server is asked for.
Passes when that is under a second every time.
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
from chaosctl.chaos.cluster import Place
from chaosctl.chaos.experiment import Aim, Budgets, Experiment, Timing, TrafficPlan
from chaosctl.chaos.faults import FAULTS
from chaosctl.chaos.kube_cluster import KubeCluster
from chaosctl.chaos.traffic import ProberProcess
from chaosctl.chaos.undo import UndoLog
from tests.contract.chaos.driver import FaultyServer, faulty_server
from tests.unit.adapters.api_server import ApiServer, api_server

ALLOWED = 1.0  # seconds
PODS, VICTIMS = 40, 20
DOWNTIME = 0.5  # seconds: the budget
LABELS = {"app.kubernetes.io/instance": "shop"}
PLACE = Place("cluster-uid", "shop", "app.kubernetes.io/instance=shop")
PATH = f"/api/v1/namespaces/{PLACE.namespace}/pods"
TIMING = Timing(steady=0.5, observe=0.1, clean=0.5, give_up=1.0, abort=0.5)
SILENCE = "nobody answers any more"
WAYS = {"a budget is exceeded": "5xx", SILENCE: "hung", "Ctrl-C": ""}  # how the server fails, if it does


@dataclass(frozen=True)
class Stopped:
    """How long injections went on, in seconds, and how many of the victims were spared at least."""

    way: str
    runs: int
    median: float
    worst: float
    spared: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    found = [_stopped(way, [measure(way, random.Random(dice.random())) for _ in range(options.runs)]) for way in WAYS]
    report = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": os.getloadavg()[1],
        "seed": options.seed,
        "stopped": [asdict(stopped) for stopped in found],
    }
    print(json.dumps(report, indent=2) if options.json else _text(report, found))
    sys.exit(any(stopped.worst > ALLOWED for stopped in found))


def measure(way: str, dice: random.Random) -> tuple[float, int]:
    """One run: seconds that the injection went on, and how many deletions were asked for."""
    with tempfile.TemporaryDirectory() as name, api_server(Path(name)) as (api, kube), faulty_server() as backend:
        scene = Scene(api, backend, way, dice)
        cluster, aim = KubeCluster(kube), Aim(seed=1, count=VICTIMS)
        experiment = Experiment(
            environment="default",
            target="benchmark",
            aim=aim,
            plan=FAULTS[aim.fault].plan(aim, PLACE, cluster),
            traffic=TrafficPlan(scene.url, expected_keys=("users",)),
            budgets=Budgets(success_percent=0, downtime_seconds=DOWNTIME),
            timing=TIMING,
        )
        world = runner.World(
            cluster=cluster,
            targets=None,
            start_traffic=ProberProcess,
            undo=UndoLog(Path(name) / "undo"),
            interrupt=scene.interrupt,
            emit=lambda event: None,
        )
        runner.run(experiment, world)
    if len(scene.asked) == VICTIMS:
        sys.exit(f"{way}: all {VICTIMS} pods were deleted, so nothing was stopped")
    return max(0.0, scene.asked[-1] - scene.reason), len(scene.asked)


class Scene:
    """Pods that an API server deletes slowly, and a reason to stop, which comes at `reason`."""

    def __init__(self, api: ApiServer, backend: FaultyServer, way: str, dice: random.Random) -> None:
        self.url = f"http://127.0.0.1:{backend.port}/probe/data"
        self.interrupt = threading.Event()
        self.asked: list[float] = []
        self.reason = 0.0
        self._backend, self._way, self._dice = backend, way, dice
        api.on_delete = self._delete
        api.put("/api/v1/namespaces/kube-system", {"metadata": {"name": "kube-system", "uid": PLACE.cluster}})
        for number in range(PODS):
            api.put(f"{PATH}/web-{number}", _pod(number))

    def _delete(self, path: str) -> None:
        self.asked.append(time.monotonic())
        if len(self.asked) == 1 and (mode := WAYS[self._way]):
            self.reason = self._backend.become(mode) + DOWNTIME
        elif len(self.asked) == 1:
            threading.Timer(self._dice.uniform(0.0, 1.5), self._interrupt).start()
        time.sleep(self._dice.uniform(0.1, 0.3))

    def _interrupt(self) -> None:
        self.reason = time.monotonic()
        self.interrupt.set()


def _pod(number: int) -> dict[str, object]:
    owner = {"kind": "ReplicaSet", "name": "shop", "uid": "rs-1", "controller": True}
    return {
        "metadata": {
            "name": f"web-{number}",
            "namespace": PLACE.namespace,
            "uid": f"uid-{number}",
            "labels": LABELS,
            "resourceVersion": "1",
            "ownerReferences": [owner],
        },
        "spec": {"nodeName": "node-a"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def _stopped(way: str, runs: Sequence[tuple[float, int]]) -> Stopped:
    lasted = [seconds for seconds, _ in runs]
    spared = VICTIMS - max(asked for _, asked in runs)
    return Stopped(way, len(runs), round(statistics.median(lasted), 3), round(max(lasted), 3), spared)


def _text(report: dict[str, object], found: Sequence[Stopped]) -> str:
    lines = [f"{report['machine']}, load {report['load']:.1f}, seed {report['seed']}", ""]
    lines.append(f"{'injection goes on after':<26}{'runs':>6}{'median':>10}{'worst':>10}{'spared of 20':>15}")
    lines += [f"{s.way:<26}{s.runs:>6}{s.median:>8.2f} s{s.worst:>8.2f} s{s.spared:>15}" for s in found]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
