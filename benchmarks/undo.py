"""Does `kill -9` at any moment leave anything that an undo does not put back?

    python benchmarks/undo.py [--count 100] [--seed 1] [--fault NAME ...] [--namespace NS] [--release NAME]
                              [--context NAME] [--settle 300] [--summary FILE] [--json]

Needs a deployment whose user runs this, with that user's environment: the lab after `chaosctl up`. Each round starts
`chaosctl chaos` with one of the faults that have something to undo, and kills its whole process group with SIGKILL at
a random moment, seeded: in one round of four at any time from its start, else from when its undo entry is on disk, so
that most moments are those that matter. In turns `chaosctl chaos --undo` puts back what is left, or the next run does
so by itself. Then everything that a fault can change is compared with how it was at the beginning: cordons, taints,
network policies, bounds of HPAs, replica counts and pod templates of the app and of kube-system (CoreDNS), helpers,
the interfaces and routes inside the app's pods, sizes of node groups, health checks and attributes of target groups.
What needs its time (a rollout back, a node that comes again) has --settle seconds for it.

Reported are the moments that were hit and what was left; the exit status is 1 when anything was, or when one of the
faults was never killed in a hundred while there was something to undo.
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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaosctl.adapters.execution import execute
from chaosctl.adapters.kube import AUTOSCALERS, DEPLOYMENTS, JOBS, NETWORK_POLICIES, NODES, PODS, Kube
from chaosctl.errors import ChaosctlError
from chaosctl.places import state_dir
from chaosctl.waiting import wait_until

HELPERS = "app.kubernetes.io/name=chaosctl-helper"
SYSTEM = "kube-system"
HELD = 6  # seconds that a fault which is held lasts
# What each fault with something to undo is told. Those that this target cannot do are left out.
FAULTS: Mapping[str, Sequence[str]] = {
    "node-drain": (),
    "scale": ("by=1", f"seconds={HELD}"),
    "bad-rollout": ("kind=image", f"seconds={HELD}"),
    "slow-cold-start": ("cold_start=3",),
    "dns-failure": (f"seconds={HELD}",),
    "network-latency": ("milliseconds=1", f"seconds={HELD}"),
    "network-partition": (f"seconds={HELD}",),
    "cpu-pressure": ("cpus=1", f"seconds={HELD}"),
    "memory-pressure": ("percent=50", f"seconds={HELD}"),
    "hpa-load": (f"seconds={HELD}",),
    "bigger-pods": (),
    "node-shortage": (f"seconds={HELD}",),
    "health-check-path": (f"seconds={HELD}",),
}
CONSENT = ("node-shortage",)  # one of two nodes has more than half of the pods, mostly
TOGETHER = "together"
AT_ONCE = f"""
name: at once
steady: {{seconds: 2, within: 240}}
budgets: {{success_percent: 0, downtime_seconds: 600, latency_seconds: 60, recovery_seconds: 600}}
steps:
  - together:
      - {{fault: scale, with: {{by: 1, seconds: {HELD}}}}}
      - {{fault: dns-failure, with: {{seconds: {HELD}}}}}
      - {{fault: network-loss, with: {{seconds: {HELD}}}}}
"""
NEXT_RUN = """
name: the next run
observe: 0
steady: {seconds: 1, within: 240}
budgets: {success_percent: 0, downtime_seconds: 600, latency_seconds: 60, recovery_seconds: 600}
steps: [{fault: pod-kill}]
"""
ENTRY_WITHIN = 300.0  # seconds until a run is past its gate and has written its undo down
AFTER_ENTRY = HELD + 3.0  # seconds from then in which it is killed: the fault, its undo, and a little of what follows
FROM_START = 40.0
LOOK_EVERY = 2.0
REST_WITHIN = 600.0  # seconds; an HPA scales in after five minutes with less to do
MISSED = "never killed while there was something to undo"
THOROUGH = 100  # kills, of which each fault has its share
ENDED, ON_DISK = "it had ended", "while its undo was on disk"
CHANGING = {"node.kubernetes.io/unschedulable", "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
LOOK_INSIDE = """
import socket
print(sorted(name for _, name in socket.if_nameindex()))
print(sorted(line.split()[0] + " " + line.split()[1] for line in open("/proc/net/route").readlines()[1:]))
"""
State = dict[str, Any]


def main() -> None:
    options = _options()
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        "seed": options.seed,
        **Benchmark(options).measure(),
    }
    if options.summary:
        Path(options.summary).write_text(json.dumps(report, indent=2))
    print(json.dumps(report) if options.json else "\n".join(f"{key}: {value}" for key, value in report.items()))
    missed = report[MISSED] if options.count >= THOROUGH else []
    sys.exit(bool(report["left"] or missed or not report["kills"]))


class Benchmark:
    """All rounds, on one deployment."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._kube = Kube(Path(os.environ["KUBECONFIG"]), options.context)
        self._dice = random.Random(options.seed)
        self._aws = _aws()

    def measure(self) -> dict[str, Any]:
        """Rounds until so many runs were killed: one that had ended by itself does not count."""
        moments, ways, left = Counter[tuple[str, str]](), Counter[str](), list[str]()
        with tempfile.TemporaryDirectory() as directory:
            at_once, following = Path(directory, "at-once.yaml"), Path(directory, "next.yaml")
            at_once.write_text(AT_ONCE)
            following.write_text(NEXT_RUN)
            self._chaosctl("chaos", "--undo")  # what somebody else left is not this benchmark's finding
            self._rest()
            before, faults = self._state(), self._possible()
            while _kills(moments) < self._options.count and moments.total() < 2 * self._options.count:
                number = moments.total()
                fault = faults[number % len(faults)]
                moment = self._kill(fault, number, at_once)
                moments[fault, moment] += 1
                way = "the next run" if number % 2 else "chaosctl chaos --undo"
                ways[way] += 1
                wrong = self._put_back(following if number % 2 else None)
                found = self._settled(before)
                left += [f"round {number}, {fault}, {moment}, {way}: {line}" for line in (*wrong, *found)]
                self._say(f"{_kills(moments)} of {self._options.count}: {fault}, {moment}, {way}", found)
                if found:  # else each round after it would tell of it again
                    self._chaosctl("chaos", "--undo")
                    before = self._state()
        return {
            "rounds": moments.total(),
            "kills": _kills(moments),
            "moments": {f"{fault}: {moment}": n for (fault, moment), n in sorted(moments.items())},
            MISSED: [f for f in faults if not moments[f, ON_DISK]],
            "undone by": dict(ways),
            "left": left,
        }

    def _rest(self) -> None:
        """Wait until no HPA is still to scale in what load of before had added: that would look like something left."""

        def looked() -> tuple[bool, str]:
            out = [_name(a) for a in self._kube.list(AUTOSCALERS, self._options.namespace) if _scaled_out(a)]
            return not out, f"{', '.join(out)}: more replicas than its minimum"

        wait_until(looked, "HPAs at rest", timeout=REST_WITHIN, emit=lambda event: None, interval=LOOK_EVERY)

    def _say(self, round_: str, found: Sequence[str]) -> None:
        print(f"{round_}: {'; '.join(found) or 'nothing left'}", file=sys.stderr, flush=True)

    def _possible(self) -> list[str]:
        """Faults of the table that this target can do now."""
        told = json.loads(self._chaosctl("chaos", "list", "--json").stdout)["result"]["faults"]
        here = {fault["fault"] for fault in told if fault["here"]}
        wanted = self._options.fault or [*FAULTS, TOGETHER]
        return [name for name in wanted if name in here & set(FAULTS) or name == TOGETHER]

    def _kill(self, fault: str, number: int, at_once: Path) -> str:
        """Start a run and kill it; in a word, when."""
        words = ["chaos", "run", str(at_once), "--seed", str(number)]
        if fault != TOGETHER:
            told = [word for option in FAULTS[fault] for word in ("--with", option)]
            words = ["chaos", "--fault", fault, "--seed", str(number), *told]
            words += ["--yes-really"] if fault in CONSENT else []
        known = set(_entries())
        process = subprocess.Popen(
            self._argv(*words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            early = self._dice.random() < 0.25
            after = self._dice.uniform(0, FROM_START if early else AFTER_ENTRY)
            if not early:
                _wait_for_entry(process, known)
            with suppress(subprocess.TimeoutExpired):
                process.wait(after)
                return ENDED
            written = bool(set(_entries()) - known)
            return ON_DISK if written else "before its undo was written, or after it was removed"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the prober as well: nothing of the run is left to tidy up
            process.wait()

    def _put_back(self, following: Path | None) -> list[str]:
        """By the command, or by the next run; what went wrong with it, or is still in the log."""
        words = ("chaos", "--undo") if following is None else ("chaos", "run", str(following))
        done = self._chaosctl(*words)
        wrong = [] if following or done.returncode == 0 else [f"status {done.returncode}: {done.stderr[-500:]}"]
        return [*wrong, *(f"{path.name} is still there" for path in _entries())]

    def _settled(self, before: State) -> list[str]:
        """What is not as before, once it had its time."""
        deadline = time.monotonic() + self._options.settle
        while True:
            try:
                after = self._state()
                found = [f"{key}: {before[key]} -> {after[key]}" for key in before if before[key] != after[key]]
            except ChaosctlError as error:  # an API server may be away for a moment, as a node is
                found = [str(error)]
            if not found or time.monotonic() >= deadline:
                return found
            time.sleep(LOOK_EVERY)

    def _state(self) -> State:
        """All that a fault changes and an undo puts back."""
        kube, namespace = self._kube, self._options.namespace
        nodes = kube.list(NODES)
        apps = [obj for where in (namespace, SYSTEM) for obj in kube.list(DEPLOYMENTS, where)]
        helpers = [obj for kind in (JOBS, PODS) for obj in kube.list(kind, labels=HELPERS)]
        taints = [t["key"] for n in nodes for t in n["spec"].get("taints") or () if t["key"] not in CHANGING]
        return {
            "nodes": len(nodes),
            "cordons": sorted(n["metadata"]["name"] for n in nodes if n["spec"].get("unschedulable")),
            "taints": sorted(taints),
            "policies": sorted(_name(p) for p in kube.list(NETWORK_POLICIES)),
            "autoscalers": {_name(a): _bounds(a) for a in kube.list(AUTOSCALERS, namespace)},
            "replicas": {_name(d): d["spec"]["replicas"] for d in apps},
            "templates": {_name(d): d["spec"]["template"]["spec"] for d in apps},
            "helpers": sorted(_name(h) for h in helpers if h.get("status", {}).get("phase") != "Succeeded"),
            "detours": self._detours(),
            **self._cloud_state(),
        }

    def _detours(self) -> list[str]:
        """Interfaces and routes of helpers in the app's pods; and pods that cannot be looked into."""
        seen = Counter[str]()
        selector = f"app.kubernetes.io/instance={self._options.release}"
        for pod in self._kube.ready_pods(self._options.namespace, selector):
            container = pod.containers[0].name
            look = ["python3", "-S", "-c", LOOK_INSIDE]
            done = execute(self._kube, self._options.namespace, pod.name, container, look, 20.0)
            seen[done.stdout if done.status == 0 else f"{pod.name} cannot be looked into: {done.stderr[-200:]}"] += 1
        return sorted(text for text in seen if "chaosctl" in text or "cannot" in text)

    def _cloud_state(self) -> State:
        """Sizes of node groups, and how load balancers check and let go."""
        if self._aws is None:
            return {}
        eks, elb = self._aws.client("eks"), self._aws.client("elbv2")
        sizes = {}
        for cluster in eks.list_clusters()["clusters"]:
            for group in eks.list_nodegroups(clusterName=cluster)["nodegroups"]:
                described = eks.describe_nodegroup(clusterName=cluster, nodegroupName=group)["nodegroup"]
                sizes[f"{cluster}/{group}"] = described["scalingConfig"]
        groups = {}
        for group in elb.describe_target_groups()["TargetGroups"]:
            arn = group["TargetGroupArn"]
            told = elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
            checks = {
                key: value for key, value in group.items() if key.startswith(("HealthCheck", "Healthy", "Unhealthy"))
            }
            groups[group["TargetGroupName"]] = {**checks, **{pair["Key"]: pair["Value"] for pair in told}}
        return {"node groups": sizes, "target groups": groups}

    def _chaosctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._argv(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=1800
        )

    def _argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "chaosctl", *words, "--namespace", self._options.namespace]


def _aws() -> Any:
    """A session with the lab's credentials, or the usual ones; None for a target without AWS."""
    import boto3

    argv = [sys.executable, "-m", "chaosctl", "lab", "env", "--json"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        os.environ.update(json.loads(done.stdout)["result"])
    session = boto3.Session()
    return session if session.get_credentials() else None


def _wait_for_entry(process: subprocess.Popen[bytes], known: set[Path]) -> None:
    """Until its undo is on disk; or it ends, or takes too long: then it is killed where it is."""
    deadline = time.monotonic() + ENTRY_WITHIN
    while process.poll() is None and time.monotonic() < deadline and not set(_entries()) - known:
        time.sleep(0.02)


def _kills(moments: Mapping[tuple[str, str], int]) -> int:
    return sum(n for (_, moment), n in moments.items() if moment != ENDED)


def _entries() -> list[Path]:
    # Of all environments; the lab beside them is a deep tree that changes while one walks through it.
    return sorted((state_dir() / "environments").glob("*/*/chaos/undo/*.undo.json"))


def _name(obj: Any) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def _scaled_out(autoscaler: Any) -> bool:
    return int(autoscaler.get("status", {}).get("currentReplicas", 0)) > int(autoscaler["spec"]["minReplicas"])


def _bounds(autoscaler: Any) -> tuple[int, int]:
    return autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="runs that are killed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", action="append", choices=[*FAULTS, TOGETHER], help="only this one; can be repeated")
    parser.add_argument("--namespace", default="chaotic-backend")
    parser.add_argument("--release", default="chaotic-backend")
    parser.add_argument("--context", default="chaotic-backend-cluster", help="of $KUBECONFIG, to look with")
    parser.add_argument("--settle", type=float, default=300.0, help="seconds that what was put back may take")
    parser.add_argument("--summary", default="", help="write the report to this file as well, as JSON")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
