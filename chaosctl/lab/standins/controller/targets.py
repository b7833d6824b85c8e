"""Which pods are targets, and which of them may call themselves ready. Pure: cached objects in, plain data out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

GATE = "target-health.elbv2.k8s.aws/"

Object = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Target:
    """An address of a pod; `pod` is its namespace and name, None for an endpoint without one."""

    ip: str
    port: int
    pod: tuple[str, str] | None = None

    @property
    def id(self) -> tuple[str, int]:
        """What AWS knows it by."""
        return self.ip, self.port


def gate(binding: str) -> str:
    """Condition type of the readiness gate of a TargetGroupBinding."""
    return GATE + binding


def condition(pod: Object, kind: str) -> Object | None:
    """A condition of a pod's status."""
    conditions: Iterable[Object] = (pod.get("status") or {}).get("conditions") or ()
    return next((item for item in conditions if item["type"] == kind), None)


def has_gate(pod: Object, kind: str) -> bool:
    """Whether the pod waits for this condition."""
    return any(item["conditionType"] == kind for item in pod["spec"].get("readinessGates") or ())


def wanted(
    slices: Iterable[Object], port: Mapping[str, Any], pods: Mapping[tuple[str, str], Object], gates: str
) -> set[Target]:
    """The targets of a Service's port.

    A pod belongs to them when its endpoint is ready, or when only the load balancer's own gate keeps it from being so:
    its containers are ready, and the load balancer must see it to say that it is healthy. Pods that end do not.
    """
    return {target for part in slices for target in _of_slice(part, port, pods, gates)}


def _of_slice(
    part: Object, port: Mapping[str, Any], pods: Mapping[tuple[str, str], Object], gates: str
) -> Iterator[Target]:
    numbers = [p["port"] for p in part.get("ports") or () if (p.get("name") or "") == (port.get("name") or "")]
    for endpoint in part.get("endpoints") or ():
        reference = endpoint.get("targetRef") or {}
        pod = (reference.get("namespace", ""), reference["name"]) if reference.get("kind") == "Pod" else None
        if numbers and _serves(endpoint, pods.get(pod) if pod else None, gates):
            yield Target(endpoint["addresses"][0], numbers[0], pod)


def _serves(endpoint: Object, pod: Object | None, gates: str) -> bool:
    state = endpoint.get("conditions") or {}
    if state.get("terminating") or (pod and pod["metadata"].get("deletionTimestamp")):
        return False
    if state.get("ready", True):
        return True
    if pod is None or not has_gate(pod, gates):
        return False
    return (condition(pod, "ContainersReady") or {}).get("status") == "True"


def injected(pod: Object, services: Iterable[Object], bindings: Iterable[Object]) -> list[str]:
    """Gates that a pod gets at its creation: of every binding to a Service that selects it.

    All are of the pod's namespace.
    """
    labels = (pod["metadata"].get("labels") or {}).items()
    selecting = {
        service["metadata"]["name"]
        for service in services
        if (selector := service["spec"].get("selector")) and selector.items() <= labels
    }
    return [
        gate(binding["metadata"]["name"])
        for binding in bindings
        if binding["spec"]["serviceRef"]["name"] in selecting and binding["spec"].get("targetType") == "ip"
    ]
