"""Publishes what the CloudWatch agent of the add-on amazon-cloudwatch-observability does, once a minute.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-enhanced-EKS.html has names,
dimensions and formulas. Published are those of nodes and workloads; not those of single pods and containers, disks and
network. The lab needs no agent on its nodes for it: it asks the API server, and the kubelets for their statistics.
Therefore it tells node_status_condition_ready of every node, as 0 also of one whose machine is silent, for which on AWS
nobody does: there each node's own agent tells it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core import DEFAULT_ACCOUNT_ID

from chaosctl.lab import gateway
from chaosctl.lab.aws.cloudwatch.alarms import metrics_of
from chaosctl.lab.aws.cloudwatch.metrics import MINUTE, Metric
from chaosctl.lab.aws.world import LOCK
from chaosctl.lab.desired import Cluster, Store
from chaosctl.lab.kube_api import KubeApi, Object
from chaosctl.lab.layout import Layout
from chaosctl.lab.nodes import NODES, is_ready
from chaosctl.lab.pki import Pki
from chaosctl.lab.tasks import Tasks

log = logging.getLogger(__name__)

NAMESPACE = "ContainerInsights"
ADDON = "amazon-cloudwatch-observability"
PRESSURE = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")  # Unknown when a kubelet is silent
SUFFIXES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 1e3, "M": 1e6, "G": 1e9, "m": 1e-3, "n": 1e-9}
SCALED = {"Deployment": "deployments", "StatefulSet": "statefulsets"}


@dataclass(frozen=True)
class Value:
    """A value to publish: by which dimensions, beside the cluster's name."""

    name: str
    value: float
    unit: str = "Count"
    dimensions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Usage:
    """Processor time in cores, memory (working set) in bytes."""

    cores: float
    memory: float


@dataclass(frozen=True)
class Sight:
    """A look at a cluster. `nodes_used` by name of the node, `pods_used` by UID of the pod."""

    nodes: Sequence[Object]
    pods: Sequence[Object]
    scaled: Sequence[Object]
    nodes_used: Mapping[str, Usage]
    pods_used: Mapping[str, Usage]


class Insights:
    """A `Reconciler`: looks at each cluster that has the add-on, every minute on a thread of its own."""

    name = "Container Insights"

    def __init__(self, store: Store, layout: Layout) -> None:
        self._store, self._layout = store, layout
        self._tasks = Tasks(self.name)
        self._looked: dict[str, float] = {}
        self._restarts: dict[str, Mapping[str, int]] = {}

    def reconcile(self) -> None:
        """Begin the looks that are due."""
        for cluster in self._store.clusters():
            due = time.monotonic() - self._looked.get(cluster.name, 0.0) >= MINUTE
            if due and not cluster.deleting and self._wanted(cluster):
                self._tasks.start(cluster.name, partial(self._look, cluster))

    def _wanted(self, cluster: Cluster) -> bool:
        started = (self._layout.cluster(cluster.name) / "loopback").exists()
        return started and any(addon.name == ADDON for addon in self._store.addons(cluster.name))

    def _look(self, cluster: Cluster) -> None:
        with KubeApi(gateway.address(self._layout, cluster.name), Pki.of(self._layout, cluster.name)) as api:
            sight = look(api)
        before = self._restarts.get(cluster.name)
        self._restarts[cluster.name] = restarts = {pod["metadata"]["uid"]: _restarts(pod) for pod in sight.pods}
        values = list(measure(sight, restarts if before is None else before))
        self._looked[cluster.name] = time.monotonic()
        with LOCK:
            metrics = metrics_of(cloudwatch_backends[DEFAULT_ACCOUNT_ID][cluster.region])
            for value in values:
                dimensions = {"ClusterName": cluster.name, **dict(value.dimensions)}
                metrics.put(Metric.of(NAMESPACE, value.name, dimensions), time.time(), value.value, value.unit)


def look(api: KubeApi) -> Sight:
    """Ask the API server, and through it the kubelets that answer."""
    nodes = _items(api, NODES)
    summaries = [found for node in nodes if is_ready(node) and (found := _summary(api, node["metadata"]["name"]))]
    return Sight(
        nodes=nodes,
        pods=_items(api, "/api/v1/pods"),
        scaled=[{**o, "kind": kind} for kind, plural in SCALED.items() for o in _items(api, f"/apis/apps/v1/{plural}")],
        nodes_used={summary["node"]["nodeName"]: _usage(summary["node"]) for summary in summaries},
        pods_used={pod["podRef"]["uid"]: _usage(pod) for summary in summaries for pod in summary.get("pods") or ()},
    )


def _items(api: KubeApi, path: str) -> Sequence[Object]:
    return list((api.get(path) or {}).get("items") or ())


def _summary(api: KubeApi, node: str) -> Mapping[str, Any] | None:
    return api.get(f"/api/v1/nodes/{node}/proxy/stats/summary")


def _usage(stats: Mapping[str, Any]) -> Usage:
    cores = float((stats.get("cpu") or {}).get("usageNanoCores") or 0) / 1e9
    return Usage(cores, float((stats.get("memory") or {}).get("workingSetBytes") or 0))


def measure(sight: Sight, restarts_before: Mapping[str, int]) -> Iterator[Value]:
    """All values of a look; restarts are those since `restarts_before` (by UID). Pure."""
    yield Value("cluster_node_count", len(sight.nodes))
    yield Value("cluster_failed_node_count", sum(map(_failed, sight.nodes)))
    for node in sight.nodes:
        yield from _of_node(node, sight)
    yield from _of_namespaces(sight.pods)
    for pod in sight.pods:
        yield from _of_pod(pod, sight, restarts_before)
    for scaled in sight.scaled:
        yield from _of_workload(scaled)


def _failed(node: Object) -> bool:
    """As the agent has it: under pressure, or nobody knows whether it is, since its kubelet is silent."""
    conditions = node.get("status", {}).get("conditions") or ()
    return any(c["type"] in PRESSURE and c["status"] != "False" for c in conditions)


def _of_node(node: Object, sight: Sight) -> Iterator[Value]:
    name = node["metadata"]["name"]
    instance = node["spec"].get("providerID", "").rpartition("/")[2]
    limits, used = node["status"].get("capacity", {}), sight.nodes_used.get(name)
    running = sum(p["spec"].get("nodeName") == name and p["status"].get("phase") == "Running" for p in sight.pods)
    values = [
        Value("node_status_condition_ready", float(is_ready(node))),
        Value("node_number_of_running_pods", running),
    ]
    if used is not None:
        values += [
            Value("node_cpu_utilization", _percent(used.cores, _quantity(limits.get("cpu"))), "Percent"),
            Value("node_memory_utilization", _percent(used.memory, _quantity(limits.get("memory"))), "Percent"),
        ]
    yield from _under(values, ((), (("InstanceId", instance), ("NodeName", name))))


def _of_namespaces(pods: Iterable[Object]) -> Iterator[Value]:
    running: dict[str, int] = {}
    for pod in pods:
        if pod["status"].get("phase") == "Running":
            running[pod["metadata"]["namespace"]] = running.get(pod["metadata"]["namespace"], 0) + 1
    for namespace, count in running.items():
        yield Value("namespace_number_of_running_pods", count, "Count", (("Namespace", namespace),))


def _of_pod(pod: Object, sight: Sight, restarts_before: Mapping[str, int]) -> Iterator[Value]:
    status, uid = pod["status"], pod["metadata"]["uid"]
    states = [container.get("state") or {} for container in status.get("containerStatuses") or ()]
    waiting = [(state.get("waiting") or {}).get("reason") for state in states]
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    values = [
        Value("pod_status_ready", float(ready)),
        Value("pod_status_running", float(status.get("phase") == "Running")),
        Value("pod_status_pending", float(status.get("phase") == "Pending")),
        Value("pod_number_of_container_restarts", max(0, _restarts(pod) - restarts_before.get(uid, 0))),
        Value("pod_container_status_waiting_reason_crash_loop_back_off", waiting.count("CrashLoopBackOff")),
        *_saturation(pod, sight),
    ]
    namespace = ("Namespace", pod["metadata"]["namespace"])
    yield from _under(values, ((), (namespace,), (namespace, ("PodName", workload_of(pod)))))


def _saturation(pod: Object, sight: Sight) -> list[Value]:
    """How much of its node, and of its own limits, a pod uses."""
    used = sight.pods_used.get(pod["metadata"]["uid"])
    node = next((n for n in sight.nodes if n["metadata"]["name"] == pod["spec"].get("nodeName")), None)
    if used is None or node is None:
        return []
    found = []
    for resource, amount in (("cpu", used.cores), ("memory", used.memory)):
        whole = _quantity(node["status"].get("capacity", {}).get(resource))
        found.append(Value(f"pod_{resource}_utilization", _percent(amount, whole), "Percent"))
        limits = [(c.get("resources", {}).get("limits") or {}).get(resource) for c in pod["spec"]["containers"]]
        if all(limits):
            share = _percent(amount, sum(map(_quantity, limits)))
            found.append(Value(f"pod_{resource}_utilization_over_pod_limit", share, "Percent"))
    return found


def _of_workload(scaled: Object) -> Iterator[Value]:
    meta, status = scaled["metadata"], scaled.get("status", {})
    wanted, available = scaled["spec"].get("replicas", 1), status.get("availableReplicas", 0)
    place = (("Namespace", meta["namespace"]), ("PodName", meta["name"]))
    yield Value("replicas_desired", wanted, "Count", place)
    yield Value("replicas_ready", status.get("readyReplicas", 0), "Count", place)
    yield Value("status_replicas_available", available, "Count", place)
    yield Value("status_replicas_unavailable", status.get("unavailableReplicas", 0), "Count", place)


def _under(values: Iterable[Value], places: Sequence[tuple[tuple[str, str], ...]]) -> Iterator[Value]:
    for value in values:
        for dimensions in places:
            yield Value(value.name, value.value, value.unit, dimensions)


def workload_of(pod: Object) -> str:
    """What the agent calls the pod's name: that of the workload which it is one of."""
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            name = str(owner["name"])
            return name.rpartition("-")[0] if owner["kind"] == "ReplicaSet" else name
    return str(pod["metadata"]["name"])


def _restarts(pod: Object) -> int:
    return sum(container.get("restartCount", 0) for container in pod["status"].get("containerStatuses") or ())


def _quantity(text: Any) -> float:
    """A quantity of Kubernetes, in cores or bytes; 0 for none."""
    number = str(text or "0")
    for suffix, factor in SUFFIXES.items():
        if number.endswith(suffix):
            return float(number.removesuffix(suffix)) * factor
    return float(number)


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0
