"""What nodes offer and pods ask for. Pure: objects of the API in, plain data out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chaosctl.lab.standins.incluster.kube import Key, Object, key_of

TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"  # taint of a node that is being emptied
REPELLING = ("NoSchedule", "NoExecute")
QUANTITY = re.compile(r"^([0-9.]+)(m|[kMGTP]|[KMGTP]i|)$")
FACTORS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15} | {
    f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTP", 1)
}


def quantity(text: str) -> float:
    """What a quantity says: "200m" is 0.2, "64Mi" is 67108864. Raises ValueError."""
    found = QUANTITY.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    return float(found[1]) * FACTORS[found[2]]


@dataclass(frozen=True)
class Room:
    """Processors in thousandths, memory in bytes, number of pods."""

    cpu: int = 0
    memory: int = 0
    pods: int = 0

    def __add__(self, other: Room) -> Room:
        return Room(self.cpu + other.cpu, self.memory + other.memory, self.pods + other.pods)

    def __sub__(self, other: Room) -> Room:
        return Room(self.cpu - other.cpu, self.memory - other.memory, self.pods - other.pods)

    def holds(self, other: Room) -> bool:
        """Whether the other fits in."""
        return self.cpu >= other.cpu and self.memory >= other.memory and self.pods >= other.pods

    def share_of(self, whole: Room) -> float:
        """Of processors or memory, whichever is more: 0 to 1."""
        return max(self.cpu / max(1, whole.cpu), self.memory / max(1, whole.memory))


def _room(resources: Mapping[str, str], pods: int) -> Room:
    cpu, memory = (quantity(str(resources.get(name, "0"))) for name in ("cpu", "memory"))
    return Room(round(cpu * 1000), round(memory), pods)


@dataclass(frozen=True)
class Pod:
    """A pod that has not ended. `node` is empty until it is scheduled."""

    key: Key
    request: Room
    node: str
    unschedulable: bool
    stays: str  # why it cannot be moved to another node; empty when it can
    of_node: bool  # it belongs to its node (DaemonSet, static pod) and goes with it
    deleting: bool
    labels: Mapping[str, str]
    selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, obj: Object) -> Pod:
        """From the API's object."""
        meta, spec = obj["metadata"], obj["spec"]
        owner = next((o for o in meta.get("ownerReferences") or () if o.get("controller")), None)
        of_node = bool(owner and owner["kind"] in ("DaemonSet", "Node"))
        conditions = {c["type"]: c for c in obj.get("status", {}).get("conditions") or ()}
        return cls(
            key=key_of(obj),
            request=_request(spec),
            node=spec.get("nodeName", ""),
            unschedulable=conditions.get("PodScheduled", {}).get("reason") == "Unschedulable",
            stays="" if of_node else _stays(meta, spec, owned=owner is not None),
            of_node=of_node,
            deleting="deletionTimestamp" in meta,
            labels=meta.get("labels") or {},
            selector=spec.get("nodeSelector") or {},
            tolerations=tuple(spec.get("tolerations") or ()),
        )

    @property
    def waits(self) -> bool:
        """Whether the scheduler found no node for it."""
        return self.unschedulable and not self.node and not self.deleting


def _request(spec: Mapping[str, Any]) -> Room:
    def asked(kind: str) -> list[Room]:
        return [_room((c.get("resources") or {}).get("requests") or {}, 0) for c in spec.get(kind) or ()]

    total = sum(asked("containers"), Room(pods=1))
    first = asked("initContainers")  # one after the other, before the others
    return Room(
        max([total.cpu, *(room.cpu for room in first)]), max([total.memory, *(room.memory for room in first)]), 1
    )


SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict"


def _stays(meta: Mapping[str, Any], spec: Mapping[str, Any], *, owned: bool) -> str:
    said = (meta.get("annotations") or {}).get(SAFE)
    if said == "true":
        return ""
    if said == "false":
        return f"says {SAFE}=false"
    if not owned:
        return "nobody would replace it"
    local = any(kind in volume for volume in spec.get("volumes") or () for kind in ("emptyDir", "hostPath"))
    return LOCAL if local else ""


LOCAL = "keeps something on its node"


@dataclass(frozen=True)
class Node:
    """A node. `instance` is its EC2 instance."""

    name: str
    instance: str
    room: Room
    labels: Mapping[str, str]
    repels: tuple[Mapping[str, Any], ...]
    ready: bool
    cordoned: bool
    leaving: bool  # it is being emptied by us

    @classmethod
    def of(cls, obj: Object) -> Node:
        """From the API's object."""
        status, spec = obj.get("status", {}), obj["spec"]
        allocatable = status.get("allocatable") or {}
        taints = spec.get("taints") or ()
        return cls(
            name=obj["metadata"]["name"],
            instance=spec.get("providerID", "").rpartition("/")[2],
            room=_room(allocatable, int(allocatable.get("pods", 0))),
            labels=obj["metadata"].get("labels") or {},
            repels=tuple(t for t in taints if t["effect"] in REPELLING),
            ready=any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ()),
            cordoned=bool(spec.get("unschedulable")),
            leaving=any(t["key"] == TO_BE_DELETED for t in taints),
        )

    @property
    def usable(self) -> bool:
        """Whether pods are sent to it."""
        return self.ready and not self.cordoned and not self.leaving

    def takes(self, pod: Pod) -> bool:
        """Whether selector and taints let the pod in."""
        if not pod.selector.items() <= self.labels.items():
            return False
        return all(any(_tolerates(t, taint) for t in pod.tolerations) for taint in self.repels)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget: which pods, and how many of them may go now."""

    namespace: str
    labels: Mapping[str, str]
    allowed: int

    @classmethod
    def of(cls, obj: Object) -> Budget:
        """From the API's object."""
        labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
        return cls(obj["metadata"]["namespace"], labels, obj.get("status", {}).get("disruptionsAllowed", 0))

    def covers(self, pod: Pod) -> bool:
        """Whether it is about this pod."""
        return pod.key[0] == self.namespace and self.labels.items() <= pod.labels.items()


@dataclass
class Bin:
    """A node, or one that is going to be, and what is free on it."""

    node: Node
    free: Room

    def put(self, pod: Pod) -> bool:
        """Put the pod there, if it fits."""
        if not (self.node.takes(pod) and self.free.holds(pod.request)):
            return False
        self.free -= pod.request
        return True


def bins(nodes: Iterable[Node], pods: Iterable[Pod]) -> list[Bin]:
    """The usable nodes with what is free on them."""
    found = {node.name: Bin(node, node.room) for node in nodes if node.usable}
    for pod in pods:
        if pod.node in found:
            found[pod.node].free -= pod.request
    return list(found.values())
