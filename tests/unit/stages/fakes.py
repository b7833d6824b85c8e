"""A cluster and a Helm in memory, for the stages' tests."""

from __future__ import annotations

import copy
from typing import Any

from chaosctl.adapters.kube import INGRESSES, PODS, Kube, Object, Resource
from chaosctl.adapters.pod import Pod

KINDS = {
    "Deployment": Resource("apps", "v1", "deployments"),
    "Service": Resource("", "v1", "services"),
    "Ingress": INGRESSES,
    "Namespace": Resource("", "v1", "namespaces", namespaced=False),
}


class FakeKube(Kube):
    """Holds objects by path. `apply` merges the top levels, as much as these tests need."""

    def __init__(self) -> None:
        super().__init__(kubeconfig=None)  # type: ignore[arg-type]
        self.objects: dict[str, Object] = {}
        self.said: list[str] = []

    def put(self, resource: Resource, obj: Object) -> Object:
        meta = obj["metadata"]
        self.objects[resource.path(meta.get("namespace"), meta["name"])] = obj
        return obj

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        return self.objects.get(resource.path(namespace, name))

    def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = "") -> Any:
        return [
            o
            for path, o in self.objects.items()
            if f"/{resource.plural}/" in path and namespace in (None, o["metadata"].get("namespace"))
        ]

    def pods(self, namespace: str, labels: str = "") -> Any:
        return [Pod.of(obj) for obj in self.list(PODS, namespace, labels=labels)]

    def resource_of(self, manifest: Object) -> Resource:
        return KINDS[manifest["kind"]]

    def apply(self, manifest: Object, *, manager: str = "", force: bool = True, dry_run: bool = False) -> Object:
        meta = manifest["metadata"]
        path = self.resource_of(manifest).path(meta.get("namespace"), meta["name"])
        merged = _overlay(copy.deepcopy(self.objects.get(path, {})), manifest)
        if not dry_run:
            self.objects[path] = merged
        return merged

    def patch(self, resource: Resource, name: str, change: Object, namespace: str | None = None) -> Object:
        self.said.append(f"patch {resource.plural} {name}")
        base, _, _ = name.partition("/")
        path = resource.path(namespace, base)
        self.objects[path] = _overlay(self.objects[path], change)
        return self.objects[path]

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        grace: int | None = None,
    ) -> bool:
        self.said.append(f"delete {resource.plural} {name}")
        return self.objects.pop(resource.path(namespace, name), None) is not None

    def create(self, resource: Resource, manifest: Object, *, dry_run: bool = False) -> Object:
        return manifest


def _overlay(below: Object, above: Object) -> Object:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _overlay(below[key], value)
        else:
            below[key] = value
    return below


def deployment(name: str = "web", wanted: int = 2, **status: Any) -> Object:
    """A Deployment in the namespace shop, rolled out unless `status` says otherwise."""
    done = {"observedGeneration": 1, "replicas": wanted, "updatedReplicas": wanted, "availableReplicas": wanted}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "generation": 1},
        "spec": {"replicas": wanted, "selector": {"matchLabels": {"app": name}}},
        "status": {**done, **status},
    }


def pod(name: str, *, ready: bool = True, ip: str = "", gates: tuple[str, ...] = ()) -> Object:
    """A pod in the namespace shop."""
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
        "spec": {"containers": [], "readinessGates": [{"conditionType": g} for g in gates]},
        "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": str(ready)}]},
    }
