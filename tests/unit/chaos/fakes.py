"""A cluster, a load balancer and a prober that live in memory and misbehave as told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chaosctl.adapters.execution import Execution
from chaosctl.adapters.instances import NodeGroup
from chaosctl.adapters.kube import Conflict, EvictionBlocked, NotFound, Resource
from chaosctl.adapters.pod import Container, Pod
from chaosctl.chaos import events as e
from chaosctl.chaos.cluster import DisruptionBudget, Helpers, OnPod, Place, TargetState
from chaosctl.chaos.experiment import Aim, Budgets, Experiment, Timing, TrafficPlan
from chaosctl.chaos.faults import FAULTS
from chaosctl.chaos.requests import CONTROL, NEW, REUSED, Request
from chaosctl.chaos.runner import World
from chaosctl.chaos.undo import UndoLog
from chaosctl.errors import ChaosctlError, PreconditionFailed, Unreachable
from chaosctl.events import Event

PLACE = Place("cluster-uid", "shop", "app.kubernetes.io/instance=shop")
CONTROLLER = "aws-load-balancer-controller"
RESOURCES = {"requests": {"cpu": "200m"}, "limits": {"cpu": "1", "memory": "1Gi"}}
QUICK = Timing(steady=0.1, steady_within=0.4, observe=0.15, clean=0.1, give_up=0.6, abort=0.4, poll=0.02)


def pod(name: str, *, uid: str = "", ready: bool = True, owner: str = "rs-1", deleting: bool = False) -> Pod:
    number = int("".join(c for c in name if c.isdigit()) or "0")
    return Pod(
        name=name,
        namespace=PLACE.namespace,
        uid=uid or f"uid-{name}",
        phase="Running",
        ready=ready,
        deleting=deleting,
        node="node-a",
        ip=f"10.0.0.{number}",
        owner="ReplicaSet/shop" if owner else "",
        owner_uid=owner,
        labels={"app.kubernetes.io/instance": "shop"},
    )


@dataclass
class FakeCluster:
    """Everything happens at once, within the call that causes it.

    swallow     deletions are acknowledged and forgotten
    same_uid    a killed pod comes back as the same object
    replace     controllers replace what is gone; `broken` makes replacements that never become ready
    watch_cut   the watch says nothing after the fault; silent: it does not even know
    on_kill     called before a deletion is carried out
    """

    pods_now: dict[str, Pod] = field(default_factory=dict)
    pdbs: list[DisruptionBudget] = field(default_factory=list)
    swallow: bool = False
    same_uid: bool = False
    replace: bool = True
    broken_replacements: bool = False
    watch_cut: bool = False
    unreadable_after_kill: bool = False
    on_kill: Callable[[], None] = lambda: None
    broken: ChaosctlError | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    objects: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)  # plural, namespace, name
    cloud: FakeCloud | None = None
    executed: list[tuple[str, ...]] = field(default_factory=list)
    admits_no_helper: str = ""
    helper_says: str = ""  # the last line of every helper; empty: that it acts and has an effect
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)  # what each helper was told
    _listeners: list[OnPod] = field(default_factory=list)
    _born: int = 100

    def identity(self) -> str:
        return PLACE.cluster

    def pods(self, place: Place) -> Sequence[Pod]:
        if self.unreadable_after_kill and self.asked:
            raise Unreachable("gone", code="KUBE-UNREACHABLE")
        return list(self.pods_now.values())

    def budgets(self, place: Place) -> Sequence[DisruptionBudget]:
        return self.pdbs

    @contextmanager
    def follow(self, place: Place, on_pod: OnPod) -> Iterator[FakeCluster]:
        for known in self.pods_now.values():
            on_pod("ADDED", known)
        self._listeners.append(on_pod)
        yield self
        self._listeners.remove(on_pod)

    def _tell(self, kind: str, known: Pod) -> None:
        if not (self.watch_cut and self.asked):
            for listener in self._listeners:
                listener(kind, known)

    def delete(self, place: Place, name: str, uid: str, grace: int | None) -> bool:
        self.asked.append(("delete", uid))
        self.on_kill()
        known = self.pods_now.get(name)
        if known is None:
            return False
        if known.uid != uid:
            raise Conflict("another", code="KUBE-CONFLICT")
        if not self.swallow:
            self._end(known)
        return True

    def evict(self, place: Place, name: str, uid: str) -> None:
        self.on_kill()
        known = self.pods_now.get(name)
        if known is None:
            raise NotFound("gone", code="KUBE-NOT-FOUND")
        if any(b.covers(known) and b.disruptions_allowed < 1 for b in self.pdbs):
            raise EvictionBlocked("blocked", code="KUBE-EVICTION-BLOCKED")
        self.asked.append(("evict", uid))
        self._end(known)

    def _end(self, known: Pod) -> None:
        del self.pods_now[known.name]
        self._tell("MODIFIED", replace(known, deleting=True))
        self._tell("DELETED", known)
        if self.same_uid:
            self._add(known)
        elif self.replace:
            self._born += 1
            self._add(pod(f"web-{self._born}", ready=not self.broken_replacements, owner=known.owner_uid))

    def _add(self, new: Pod) -> None:
        self.pods_now[new.name] = new
        self._tell("ADDED", replace(new, ready=False))
        self._tell("MODIFIED", new)

    def get(self, resource: Resource, name: str, namespace: str = "") -> dict[str, Any] | None:
        return self.objects.get((resource.plural, namespace, name))

    def list(
        self, resource: Resource, namespace: str = "", labels: str = "", fields: str = ""
    ) -> Sequence[dict[str, Any]]:
        wanted = dict(pair.split("=") for pair in labels.split(",") if pair)
        node = fields.removeprefix("spec.nodeName=")
        found = [o for (p, n, _), o in self.objects.items() if p == resource.plural and namespace in ("", n)]
        found = [o for o in found if wanted.items() <= (o["metadata"].get("labels") or {}).items()]
        return [o for o in found if not node or o["spec"].get("nodeName") == node]

    def patch(self, resource: Resource, name: str, change: Any, namespace: str = "") -> dict[str, Any]:
        """As the API server merges, and a controller at once does what it is told."""
        found = self.objects[resource.plural, namespace, name]
        _merge(found, {k: v for k, v in change.items() if k != "metadata"})
        if resource.plural == "deployments":
            count = found["spec"]["replicas"]
            found["status"] |= {"replicas": count, "readyReplicas": count, "updatedReplicas": count}
        return found

    @property
    def helpers(self) -> Helpers:
        return Helpers("python", "helpers")

    def create(self, resource: Resource, manifest: Any, *, dry_run: bool = False) -> dict[str, Any]:
        """The Job of a helper, and its pod at once."""
        if self.admits_no_helper:
            raise PreconditionFailed("no", code="KUBE-FORBIDDEN", why=self.admits_no_helper)
        if dry_run:
            return dict(manifest)
        meta, template = manifest["metadata"], manifest["spec"]["template"]
        task = json.loads(template["spec"]["containers"][0]["command"][3])
        name, namespace = meta["name"], meta["namespace"]
        self.tasks[name] = task
        self.objects["jobs", namespace, name] = {"metadata": meta, "spec": manifest["spec"]}
        self.objects["pods", namespace, f"{name}-x"] = {
            "metadata": {"name": f"{name}-x", "namespace": namespace, "uid": f"uid-{name}", "labels": meta["labels"]},
            "spec": {"nodeName": template["spec"]["nodeName"], "containers": [{"name": "helper"}]},
            "status": {"phase": "Running"},
        }
        if task["act"] == "crash" and not self.helper_says:
            self._restart(str(task["container"]).removeprefix("id-"))
        for (kind, _, _), hpa in self.objects.items():
            if kind == "horizontalpodautoscalers" and task["act"] == "cpu":
                hpa["status"]["desiredReplicas"] += 1
        return dict(manifest)

    def last_line(self, pod: Any) -> str:
        """What the agent in a helper would say."""
        return self.helper_says or json.dumps({"state": "acting", "said": "it shows"})

    def remove(self, resource: Resource, name: str, namespace: str = "") -> bool:
        return self.objects.pop((resource.plural, namespace, name), None) is not None

    def execute(self, namespace: str, pod: str, container: str, command: Sequence[str], timeout: float) -> Execution:
        self.executed.append(tuple(command))
        self._restart(pod)
        return Execution(0, "", "")

    def _restart(self, pod: str) -> None:
        known = self.pods_now[pod]
        again = replace(known, containers=(Container("backend", True, known.restarts + 1),))
        self.pods_now[pod] = again
        self._tell("MODIFIED", replace(again, ready=False))
        self._tell("MODIFIED", again)

    def targets(self) -> Sequence[TargetState]:
        return [TargetState(p.ip, 3000, "healthy" if p.ready else "unhealthy") for p in self.pods_now.values()]


@dataclass
class FakeCloud:
    """Instances that end when they are told to, and take their node and its pods along."""

    cluster: FakeCluster
    terminated: list[str] = field(default_factory=list)
    sizes: tuple[int, int] = (2, 2)  # fewest and wanted nodes of the only node group
    path: str = "/health/ready"  # at which the only target group is checked

    def group_of(self, instance: str) -> NodeGroup | None:
        return NodeGroup("demo", "main", *self.sizes)

    def resize(self, cluster: str, group: str, least: int, wanted: int) -> None:
        self.sizes = (least, wanted)

    def check_path(self, group: str) -> str:
        return self.path

    def check_at(self, group: str, path: str) -> None:
        """The pods have one path; each check is made at once, and the readiness gates follow."""
        self.path = path
        for name, known in self.cluster.pods_now.items():
            again = replace(known, ready=path == "/health/ready")
            self.cluster.pods_now[name] = again
            self.cluster._tell("MODIFIED", again)

    def health(self, group: str) -> Sequence[str]:
        return [target.state for target in self.cluster.targets()]

    def state(self, instance: str) -> str:
        return "terminated" if instance in self.terminated else "running"

    def terminate(self, instance: str) -> None:
        self.terminated.append(instance)
        for node in [o for o in self.cluster.objects.values() if o["spec"].get("providerID", "").endswith(instance)]:
            for known in [p for p in self.cluster.pods_now.values() if p.node == node["metadata"]["name"]]:
                self.cluster._end(known)
            node["metadata"]["uid"] += "-replaced"
            node["spec"]["providerID"] += "-replaced"
            node["spec"].pop("unschedulable", None)


def _merge(into: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def node(name: str, zone: str, *, ready: bool = True, cordoned: bool = False) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": {"topology.kubernetes.io/zone": zone}},
        "spec": {"providerID": f"aws:///{zone}/i-{name}"} | ({"unschedulable": True} if cordoned else {}),
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}], "allocatable": {"cpu": "2"}},
    }


def deployment(replicas: int) -> dict[str, Any]:
    container = {"name": "backend", "image": "shop:1", "ports": [{"containerPort": 3000}], "resources": RESOURCES}
    annotations = {"chaosctl.dev/cold-start-variable": "COLD"}
    return {
        "metadata": {
            "name": "shop",
            "uid": "uid-shop",
            "resourceVersion": "1",
            "labels": {"app.kubernetes.io/instance": "shop"},
        },
        "spec": {
            "replicas": replicas,
            "template": {"metadata": {"annotations": annotations}, "spec": {"containers": [container]}},
        },
        "status": {"replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas},
    }


def autoscaler(replicas: int) -> dict[str, Any]:
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    return {
        "metadata": {"name": "shop", "uid": "uid-hpa"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "shop"},
            "minReplicas": replicas,
            "maxReplicas": 3 * replicas,
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
        "status": {"desiredReplicas": replicas, "conditions": [{"type": "ScalingActive", "status": "True"}]},
    }


def whole_cluster(count: int = 4, nodes: int = 2) -> FakeCluster:
    """Pods spread over nodes in zones of their own, a Deployment that has them, and a cloud."""
    cluster = cluster_of(count)
    names = [f"node-{chr(ord('a') + n)}" for n in range(nodes)]
    for n, known in enumerate(list(cluster.pods_now.values())):
        cluster.pods_now[known.name] = replace(known, node=names[n % nodes])
    for n, name in enumerate(names):
        cluster.objects["nodes", "", name] = node(name, f"zone-{n}")
    cluster.objects["deployments", PLACE.namespace, "shop"] = deployment(count)
    cluster.objects["deployments", "kube-system", "cluster-autoscaler"] = {
        "metadata": {"name": "cluster-autoscaler", "uid": "uid-ca"},
        "spec": {},
        "status": {"availableReplicas": 1},
    }
    cluster.objects["horizontalpodautoscalers", PLACE.namespace, "shop"] = autoscaler(count)
    cluster.objects["targetgroupbindings", PLACE.namespace, "k8s-shop"] = {
        "metadata": {"name": "k8s-shop", "namespace": PLACE.namespace, "uid": "uid-tgb"},
        "spec": {"targetGroupARN": "arn:tg"},
    }
    for known in cluster.pods_now.values():
        cluster.objects["pods", PLACE.namespace, known.name] = {
            "metadata": {
                "name": known.name,
                "namespace": PLACE.namespace,
                "uid": known.uid,
                "labels": dict(known.labels),
                "annotations": {"chaosctl.dev/crash-command": '["crash"]'},
            },
            "spec": {"nodeName": known.node, "containers": [{"name": "backend", "resources": RESOURCES}]},
            "status": {
                "podIP": known.ip,
                "containerStatuses": [{"name": "backend", "containerID": f"containerd://id-{known.name}"}],
            },
        }
    cluster.cloud = FakeCloud(cluster)
    return cluster


def with_system(cluster: FakeCluster, count: int = 2) -> FakeCluster:
    """CoreDNS and the load balancer controller as well, `count` pods of each."""
    for name, labels in (("coredns", {"k8s-app": "kube-dns"}), ("controller", {"app.kubernetes.io/name": CONTROLLER})):
        for n in range(count):
            made = replace(pod(f"{name}-{n}", owner=f"rs-{name}"), namespace="kube-system", labels=labels)
            cluster.pods_now[made.name] = made
    coredns = deployment(count)
    coredns["metadata"] |= {"name": "coredns", "uid": "uid-coredns", "labels": {"k8s-app": "kube-dns"}}
    cluster.objects["deployments", "kube-system", "coredns"] = coredns
    return cluster


def anything(count: int = 6, nodes: int = 3) -> FakeCluster:
    """A cluster in which every fault can be planned."""
    cluster = with_system(whole_cluster(count, nodes))
    app = cluster.objects["deployments", PLACE.namespace, "shop"]
    app["spec"]["template"]["metadata"]["annotations"]["chaosctl.dev/bad-answers-variable"] = "BAD"
    return cluster


def shuffle(cluster: FakeCluster, random: Any) -> None:
    """As if the API listed everything in another order."""
    for kept in (cluster.pods_now, cluster.objects):
        items = list(kept.items())
        random.shuffle(items)
        kept.clear()
        kept.update(items)  # type: ignore[arg-type]


def cluster_of(count: int = 4) -> FakeCluster:
    return FakeCluster({p.name: p for p in (pod(f"web-{n}") for n in range(1, count + 1))})


class FakeTraffic:
    """Two streams and the control stream, on a thread; `outcome(seconds since the start)` says how requests end."""

    outcome: Callable[[float], str] = staticmethod(lambda at: "ok")
    lag = 1000  # microseconds
    lie = 0  # by how many its account is wrong
    dies_after: float | None = None

    def __init__(self, plan: TrafficPlan, tell: e.Tell) -> None:
        self._period, self._tell = 1 / plan.rate, tell
        self._began = time.monotonic()
        self._stopped = threading.Event()
        self._sent: list[Request] = []
        tell(e.TrafficStarted(self._began))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stopped.wait(0.01):
            now = time.monotonic() - self._began
            if self.dies_after is not None and now > self.dies_after:
                self._tell(e.TrafficLost(time.monotonic(), "killed"))
                return
            batch = []
            while number * self._period <= now:
                batch += [self._request(stream, number) for stream in (NEW, REUSED, CONTROL)]
                number += 1
            self._sent += batch
            self._tell(e.RequestsSeen(time.monotonic(), tuple(batch)))

    def _request(self, stream: str, number: int) -> Request:
        at = number * self._period
        outcome = "ok" if stream == CONTROL else self.outcome(at)
        return Request(stream, number, round((self._began + at) * 1e6), 2000, self.lag, outcome, 200)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        if self.dies_after is None:
            totals = {s: self._totals(s) for s in (NEW, REUSED, CONTROL)}
            self._tell(e.TrafficEnded(time.monotonic(), totals, 0, 0.01, 1.0))

    def _totals(self, stream: str) -> tuple[int, int, int, int, int]:
        mine = [r for r in self._sent if r.stream == stream]
        ok = sum(r.ok for r in mine)
        return len(mine) + self.lie, ok, len(mine) - ok, 0, 0


def traffic(**traits: object) -> type[FakeTraffic]:
    """A FakeTraffic with other traits."""
    made = {k: staticmethod(v) if callable(v) else v for k, v in traits.items()}
    return type("Traffic", (FakeTraffic,), made)


def experiment(cluster: FakeCluster, aim: Aim | None = None, timing: Timing = QUICK) -> Experiment:
    aim = aim or Aim(seed=1, count=1)
    plan = FAULTS[aim.fault].plan(aim, PLACE, cluster)
    return Experiment(
        environment="default",
        target="lab",
        aim=aim,
        plan=plan,
        traffic=TrafficPlan("http://127.0.0.1/", rate=100),
        budgets=Budgets(99.0, 0.5, recovery_seconds=30.0),
        timing=timing,
    )


def world(
    cluster: FakeCluster,
    directory: Path,
    *,
    start_traffic: type[FakeTraffic] = FakeTraffic,
    seen: list[Event] | None = None,
    interrupt: threading.Event | None = None,
) -> World:
    return World(
        cluster=cluster,
        targets=cluster.targets,
        start_traffic=start_traffic,
        undo=UndoLog(directory / "undo"),
        interrupt=interrupt or threading.Event(),
        emit=(seen if seen is not None else []).append,
    )
