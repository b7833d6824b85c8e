"""The cluster as the autoscaler sees it (caches), and what it writes there (a taint, evictions, events)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from chaosctl.lab.standins.autoscaler.capacity import TO_BE_DELETED, Budget, Node, Pod
from chaosctl.lab.standins.incluster.journal import log
from chaosctl.lab.standins.incluster.kube import Api, ApiError, Cache

CORE = "/api/v1"
ENDED = ("Succeeded", "Failed")


class Cluster:
    """Everything that the autoscaler reads and writes in Kubernetes. `changed` is called when a cache changes."""

    def __init__(self, api: Api, changed: Callable[[], None]) -> None:
        self._api = api
        self._nodes = Cache(api, f"{CORE}/nodes", changed)
        self._pods = Cache(api, f"{CORE}/pods", changed)
        self._budgets = Cache(api, "/apis/policy/v1/poddisruptionbudgets", changed)
        self._caches = (self._nodes, self._pods, self._budgets)

    def start(self) -> None:
        """Begin to watch."""
        for cache in self._caches:
            cache.start()

    @property
    def synced(self) -> bool:
        """Whether everything has been read once."""
        return all(cache.synced.is_set() for cache in self._caches)

    def nodes(self) -> list[Node]:
        """All nodes."""
        return [Node.of(obj) for obj in self._nodes.objects()]

    def pods(self) -> list[Pod]:
        """All pods that have not ended."""
        return [Pod.of(obj) for obj in self._pods.objects() if obj.get("status", {}).get("phase") not in ENDED]

    def budgets(self) -> list[Budget]:
        """All disruption budgets."""
        return [Budget.of(obj) for obj in self._budgets.objects()]

    def mark(self, node: Node, *, leaving: bool) -> None:
        """Put the taint on that keeps pods from a node that is being emptied, or take it off."""
        found = self._api.get(f"{CORE}/nodes/{node.name}")
        taints = [t for t in found["spec"].get("taints") or () if t["key"] != TO_BE_DELETED]
        if leaving:
            taints.append({"key": TO_BE_DELETED, "value": str(int(time.time())), "effect": "NoSchedule"})
        version = found["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": {"taints": taints}}
        self._nodes.put(self._api.patch(f"{CORE}/nodes/{node.name}", body))

    def evict(self, pod: Pod) -> bool:
        """Ask a pod to go; False when its disruption budget forbids that now."""
        namespace, name = pod.key
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        try:
            self._api.create(f"{CORE}/namespaces/{namespace}/pods/{name}/eviction", body)
        except ApiError as error:
            if error.status == 429:
                return False
            if error.status != 404:
                raise
        return True

    def event(self, kind: str, namespace: str, name: str, reason: str, message: str) -> None:
        """Tell those who run `kubectl describe`. Best effort."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        home = namespace or "default"
        body: dict[str, Any] = {
            "metadata": {"name": f"{name}.{uuid4().hex[:16]}", "namespace": home},
            "involvedObject": {"kind": kind, "apiVersion": "v1", "name": name, "namespace": namespace},
            "type": "Normal",
            "reason": reason,
            "message": message[:1000],
            "source": {"component": "cluster-autoscaler"},
            "reportingComponent": "chaosctl-stand-in",
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        try:
            self._api.create(f"{CORE}/namespaces/{home}/events", body)
        except ApiError as error:
            log("cannot write an event", level="error", code=error.reason, error=str(error), event=reason)
