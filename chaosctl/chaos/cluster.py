"""What chaos asks of a cluster and of a load balancer; adapters/kube.py and adapters/aws.py answer it.

Objects cross this border as the API server sends them (JSON as dicts), so that the adapter needs to know nothing of
chaos and listing ten thousand pods builds no models; `Pod.of` keeps the few fields that matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Object = Mapping[str, Any]  # a Kubernetes object, or a part of one, in JSON's shape

# Codes of the errors (ChaosctlError) that the adapter raises and chaos tells apart; any other one is passed on.
NOT_FOUND = "KUBE-NOT-FOUND"  # 404: no such pod any more
CONFLICT = "KUBE-CONFLICT"  # 409: a pod of that name exists, but with another UID
EVICTION_BLOCKED = "KUBE-EVICTION-BLOCKED"  # 429: a PodDisruptionBudget does not allow it now


class Cluster(Protocol):
    """The Kubernetes API, as far as chaos needs it. Every call has a time limit of its own, at most 10 s."""

    def identity(self) -> str:
        """What no other cluster has, also after a rename of the context: the UID of the namespace kube-system."""

    def list_pods(self, namespace: str, selector: str) -> tuple[Sequence[Object], str]:
        """All pods that match, read in pages as raw JSON, and the resourceVersion to watch from."""

    def watch_pods(
        self, namespace: str, selector: str, resource_version: str, stop: Callable[[], bool]
    ) -> Iterator[tuple[str, Object]]:
        """("ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK", pod) as they happen.

        Ends when `stop()` is true (looked at least once a second) or the server closes the stream; raises
        ChaosctlError when it breaks or the version is too old. The caller lists again and goes on.
        """

    def delete_pod(self, namespace: str, name: str, *, uid: str, grace_seconds: int | None = None) -> None:
        """Delete this pod if it still has this UID (preconditions.uid). Returns when the server acknowledged it."""

    def evict_pod(self, namespace: str, name: str, *, uid: str) -> None:
        """Ask for its eviction (policy/v1), with the UID as precondition. Returns when the server granted it."""

    def disruption_budgets(self, namespace: str) -> Sequence[Object]:
        """All PodDisruptionBudgets of a namespace."""


@dataclass(frozen=True)
class TargetState:
    """One target of a target group: `id` is an address or an instance; state as elbv2 says it (`healthy`, ...)."""

    id: str
    port: int
    state: str
    reason: str = ""


Targets = Callable[[], Sequence[TargetState]]


@dataclass(frozen=True)
class Pod:
    """What chaos remembers of a pod. `owner` is the UID of its controller, or empty; `ready` also means not ending."""

    uid: str
    name: str
    namespace: str
    node: str
    owner: str
    owner_name: str
    ip: str
    ready: bool
    terminating: bool
    labels: Mapping[str, str]

    @classmethod
    def of(cls, pod: Object) -> Pod:
        """From the API server's JSON."""
        meta, status = pod["metadata"], pod.get("status", {})
        owner = next((o for o in meta.get("ownerReferences", ()) if o.get("controller")), {})
        terminating = bool(meta.get("deletionTimestamp"))
        return cls(
            uid=meta["uid"],
            name=meta["name"],
            namespace=meta["namespace"],
            node=pod.get("spec", {}).get("nodeName", ""),
            owner=owner.get("uid", ""),
            owner_name=owner.get("name", ""),
            ip=status.get("podIP", ""),
            ready=not terminating and _condition(status, "Ready"),
            terminating=terminating,
            labels=meta.get("labels", {}),
        )


def _condition(status: Object, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in status.get("conditions") or ())


@dataclass(frozen=True)
class DisruptionBudget:
    """A PodDisruptionBudget: which pods it covers, and how many of them may be disrupted now."""

    name: str
    match_labels: Mapping[str, str]
    match_expressions: tuple[Object, ...]
    disruptions_allowed: int

    @classmethod
    def of(cls, pdb: Object) -> DisruptionBudget:
        """From the API server's JSON. A budget without a status yet allows nothing."""
        selector = pdb.get("spec", {}).get("selector") or {}
        return cls(
            name=pdb["metadata"]["name"],
            match_labels=selector.get("matchLabels") or {},
            match_expressions=tuple(selector.get("matchExpressions") or ()),
            disruptions_allowed=pdb.get("status", {}).get("disruptionsAllowed", 0),
        )

    def covers(self, pod: Pod) -> bool:
        """Whether its selector matches; an empty one matches every pod of the namespace, as policy/v1 says."""
        labels = pod.labels
        return all(labels.get(k) == v for k, v in self.match_labels.items()) and all(
            _matches(labels, expression) for expression in self.match_expressions
        )


def _matches(labels: Mapping[str, str], expression: Object) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
