"""What chaos asks of a cluster and of a load balancer: their data, and the protocols that `kube_cluster.py` keeps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from chaosctl.adapters.execution import Execution
from chaosctl.adapters.instances import NodeGroup
from chaosctl.adapters.kube import Resource
from chaosctl.adapters.pod import Pod
from chaosctl.errors import ChaosctlError

# What helpers run in where a target has nothing of its own: any Python from 3.9 on will do.
HELPER_IMAGE = (
    "docker.io/library/python:3.13.14-slim@sha256:6771159cd4fa5d9bba1258caf0b82e6b73458c694d178ad97c5e925c2d0e1a91"
)

REQUIREMENT = re.compile(r"(?:[^,(]|\([^)]*\))+")  # of a label selector: they are separated by commas
REQUIRED = re.compile(
    r"(?P<absent>!?)\s*(?P<key>[\w./-]+)\s*"
    r"(?:(?P<operator>==|=|!=|(?<=\s)(?:in|notin)\b)\s*(?P<values>\([^)]*\)|[\w.-]*))?"
)

Object = Mapping[str, Any]  # a Kubernetes object, or a part of one, in JSON's shape
OnPod = Callable[[str, Pod], None]  # ADDED, MODIFIED or DELETED, and the pod


@dataclass(frozen=True)
class Place:
    """Where chaos is allowed: one cluster, one namespace, the app's labels.

    cluster  UID of the namespace kube-system: a context can be renamed, this cannot
    account  AWS account, or empty for a target without AWS
    """

    cluster: str
    namespace: str
    selector: str
    account: str = ""


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
        return all(pod.labels.get(key) == value for key, value in self.match_labels.items()) and all(
            _matches(pod.labels, expression) for expression in self.match_expressions
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
        case _:  # DoesNotExist
            return key not in labels


@dataclass(frozen=True)
class Helpers:
    """Where helpers run: an image with a Python, and a namespace that admits them."""

    image: str = HELPER_IMAGE
    namespace: str = "kube-system"


class Watch(Protocol):
    """A running watch."""

    @property
    def broken(self) -> ChaosctlError | None:
        """Why nothing is seen at the moment; None while it is connected."""


class Cluster(Protocol):
    """The Kubernetes API, as far as chaos needs it. Errors are ChaosctlErrors."""

    def identity(self) -> str:
        """What no other cluster has: the UID of the namespace kube-system."""

    def pods(self, place: Place) -> Sequence[Pod]:
        """The pods of the place, those that are ending included."""

    def budgets(self, place: Place) -> Sequence[DisruptionBudget]:
        """All PodDisruptionBudgets of its namespace."""

    def follow(self, place: Place, on_pod: OnPod) -> AbstractContextManager[Watch]:
        """Tell `on_pod`, on another thread, what exists (as ADDED) and every change, until it is left."""

    def delete(self, place: Place, name: str, uid: str, grace: int | None) -> bool:
        """Delete the pod of this name if it still has this UID (else Conflict).

        Returns when the server acknowledged it: True; False when it was gone already. `grace` in seconds, None for
        the pod's own.
        """

    def evict(self, place: Place, name: str, uid: str) -> None:
        """Evict it. Raises EvictionBlocked when a PodDisruptionBudget does not allow it now, NotFound, Conflict."""

    @property
    def cloud(self) -> Cloud | None:
        """Where its nodes are instances; None for a target without AWS."""

    @property
    def helpers(self) -> Helpers:
        """Where helpers run."""

    def get(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        """Any object, or None when there is none."""

    def list(self, resource: Resource, namespace: str = "", labels: str = "", fields: str = "") -> Sequence[Object]:
        """Objects of any kind; all namespaces when none is named."""

    def patch(self, resource: Resource, name: str, change: Object, namespace: str = "") -> Object:
        """JSON merge patch; the changed object."""

    def create(self, resource: Resource, manifest: Object, *, dry_run: bool = False) -> Object:
        """Create an object; Conflict when it exists. With `dry_run` only ask whether it would be admitted."""

    def remove(self, resource: Resource, name: str, namespace: str = "") -> bool:
        """Delete an object; False when it was gone already."""

    def last_line(self, pod: Object) -> str:
        """The last line that a pod's container has written; empty when there is none."""

    def execute(self, namespace: str, pod: str, container: str, command: Sequence[str], timeout: float) -> Execution:
        """Run a command in a running container, for at most `timeout` seconds."""


class Cloud(Protocol):
    """The instances behind the nodes, and the target groups before the pods (by ARN). Errors are ChaosctlErrors."""

    def group_of(self, instance: str) -> NodeGroup | None:
        """The managed node group of an instance; None when it is in none."""

    def resize(self, cluster: str, group: str, least: int, wanted: int) -> None:
        """Give a node group other sizes; returns when that was acknowledged."""

    def state(self, instance: str) -> str:
        """running, shutting-down, terminated ...; empty when there is no such instance."""

    def terminate(self, instance: str) -> None:
        """Terminate it; returns when that was acknowledged."""

    def check_path(self, group: str) -> str:
        """Where the load balancer checks the targets; empty when there is no such group, or its checks have no path."""

    def check_at(self, group: str, path: str) -> None:
        """Have them checked at another path; returns when that was acknowledged."""

    def health(self, group: str) -> Sequence[str]:
        """The state of each target: healthy, unhealthy, initial ..."""


def ready(pods: Iterable[Pod], place: Place) -> list[Pod]:
    """Those of the place that serve and are not ending. Namespace and labels are looked at, whatever the API listed."""
    return [pod for pod in pods if pod.ready and not pod.deleting and inside(pod, place)]


def inside(pod: Pod, place: Place) -> bool:
    """Whether it is one of the place's pods."""
    return pod.namespace == place.namespace and matches(pod.labels, place.selector)


def matches(labels: Mapping[str, str], selector: str) -> bool:
    """Whether labels fulfil every requirement of a selector."""
    return all(_required(labels, requirement) for requirement in REQUIREMENT.findall(selector))


def _required(labels: Mapping[str, str], requirement: str) -> bool:
    """One part of a selector as kubectl writes it: a=b, a==b, a!=b, a in (b, c), a notin (b), a, !a."""
    parts = REQUIRED.fullmatch(requirement.strip())
    if parts is None:
        return False  # nothing is hit that may be somebody else's
    absent, key, operator, text = parts["absent"], parts["key"], parts["operator"], parts["values"] or ""
    values = [value.strip() for value in text.strip("()").split(",")]
    match operator:
        case "=" | "==" | "in":
            return labels.get(key) in values
        case "!=" | "notin":
            return labels.get(key) not in values
        case _:
            return (key not in labels) if absent else (key in labels)


@dataclass(frozen=True)
class PodState:
    """What the journal keeps of a pod at one moment. `ready` also means not ending.

    phase      as the API says it: Pending, Running, Succeeded, Failed
    restarts   of all its containers together
    trouble    why it is not ready, in a few words
    contained  all containers are ready; then only a readiness gate can keep the pod from being ready
    gates      condition types of its readiness gates
    exits      exit codes of the processes that ended last, of all its containers
    """

    uid: str
    name: str
    node: str
    ip: str
    owner_uid: str
    ready: bool
    deleting: bool
    phase: str = ""
    restarts: int = 0
    trouble: str = ""
    contained: bool = False
    gates: tuple[str, ...] = ()
    namespace: str = ""
    exits: tuple[int, ...] = ()

    @classmethod
    def of(cls, pod: Pod) -> PodState:
        """From the adapter's pod."""
        return cls(
            pod.uid,
            pod.name,
            pod.node,
            pod.ip,
            pod.owner_uid,
            ready=pod.ready and not pod.deleting,
            deleting=pod.deleting,
            phase=pod.phase,
            restarts=pod.restarts,
            trouble="" if pod.ready else pod.trouble,
            contained=bool(pod.containers) and all(c.ready for c in pod.containers),
            gates=pod.gates,
            namespace=pod.namespace,
            exits=tuple(c.exit_code for c in pod.containers if c.exit_code is not None),
        )


@dataclass(frozen=True)
class TargetState:
    """One target of a target group: `id` is an address or an instance; `state` as elbv2 says it (healthy, ...)."""

    id: str
    port: int
    state: str
    reason: str = ""


Targets = Callable[[], Sequence[TargetState]]
