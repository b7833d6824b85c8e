"""The Cluster of chaos behind adapters/kube.py."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from chaosctl.adapters.execution import Execution, execute
from chaosctl.adapters.follow import Follow
from chaosctl.adapters.kube import DISRUPTION_BUDGETS, NAMESPACES, PODS, Kube, Resource
from chaosctl.adapters.pod import Pod
from chaosctl.chaos.cluster import Cloud, DisruptionBudget, Helpers, Object, OnPod, Place, Watch
from chaosctl.errors import Unreachable


class KubeCluster:
    """A Kubernetes API server as chaos sees it; what each method promises is said in Cluster."""

    def __init__(self, kube: Kube, cloud: Cloud | None = None, helpers: Helpers | None = None) -> None:
        self._kube, self._cloud, self._helpers = kube, cloud, helpers or Helpers()

    @property
    def cloud(self) -> Cloud | None:
        return self._cloud

    @property
    def helpers(self) -> Helpers:
        return self._helpers

    def get(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        return self._kube.get(resource, name, namespace or None)

    def list(self, resource: Resource, namespace: str = "", labels: str = "", fields: str = "") -> Sequence[Object]:
        return self._kube.list(resource, namespace or None, labels=labels, fields=fields)

    def patch(self, resource: Resource, name: str, change: Object, namespace: str = "") -> Object:
        return self._kube.patch(resource, name, dict(change), namespace or None)

    def create(self, resource: Resource, manifest: Object, *, dry_run: bool = False) -> Object:
        return self._kube.create(resource, dict(manifest), dry_run=dry_run)

    def remove(self, resource: Resource, name: str, namespace: str = "") -> bool:
        return self._kube.delete(resource, name, namespace or None)

    def last_line(self, pod: Object) -> str:
        return self._kube.logs(Pod.of(pod), lines=1).strip()

    def execute(self, namespace: str, pod: str, container: str, command: Sequence[str], timeout: float) -> Execution:
        return execute(self._kube, namespace, pod, container, command, timeout)

    def identity(self) -> str:
        """UID of kube-system. Raises Unreachable when that cannot be read."""
        found = self._kube.get(NAMESPACES, "kube-system")
        if found is None:
            raise Unreachable("the cluster has no namespace kube-system", code="CHAOS-NO-IDENTITY")
        return str(found["metadata"]["uid"])

    def pods(self, place: Place) -> Sequence[Pod]:
        return self._kube.pods(place.namespace, place.selector)

    def budgets(self, place: Place) -> Sequence[DisruptionBudget]:
        return [DisruptionBudget.of(pdb) for pdb in self._kube.list(DISRUPTION_BUDGETS, place.namespace)]

    def follow(self, place: Place, on_pod: OnPod) -> AbstractContextManager[Watch]:
        return Follow(
            self._kube,
            PODS,
            place.namespace,
            labels=place.selector,
            on_event=lambda kind, pod: on_pod(kind, Pod.of(pod)),
        )

    def delete(self, place: Place, name: str, uid: str, grace: int | None) -> bool:
        return self._kube.delete(PODS, name, place.namespace, uid=uid, grace=grace)

    def evict(self, place: Place, name: str, uid: str) -> None:
        self._kube.evict(place.namespace, name, uid=uid)
