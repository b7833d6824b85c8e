"""A pod, as much of it as this program looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Container:
    """State of one container. `waiting` and `terminated` are reasons (CrashLoopBackOff, OOMKilled) or empty.

    exit_code  of its process that ended last; None when none has
    """

    name: str
    ready: bool
    restarts: int
    waiting: str = ""
    message: str = ""
    terminated: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod at one moment.

    uid         identity: a replacement has another one, even under the same name
    owner       Kind/name of its controller, for example ReplicaSet/web-5d4f, or empty
    owner_uid   uid of that controller
    ready       condition Ready is true: all containers and all readiness gates
    deleting    its deletion has been asked for
    gates       condition types of its readiness gates
    conditions  by type: "True", "False" or "Unknown"; `messages` says why, of those where the API does
    """

    name: str
    namespace: str
    uid: str
    phase: str
    ready: bool
    deleting: bool
    node: str = ""
    ip: str = ""
    owner: str = ""
    owner_uid: str = ""
    created: str = ""  # RFC 3339
    labels: Mapping[str, str] = field(default_factory=dict)
    gates: tuple[str, ...] = ()
    conditions: Mapping[str, str] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)
    containers: tuple[Container, ...] = ()
    environment: frozenset[str] = frozenset()  # names of the variables of all containers

    @property
    def restarts(self) -> int:
        """Restarts of all containers together."""
        return sum(c.restarts for c in self.containers)

    @property
    def trouble(self) -> str:
        """Why it is not ready, in a few words; empty when nothing is known."""
        for container in self.containers:
            if reason := container.waiting or container.terminated:
                return f"{container.name}: {reason}" + (f": {container.message}" if container.message else "")
        for kind in ("PodScheduled", "Initialized", "ContainersReady", *self.gates, "Ready"):
            if self.conditions.get(kind) == "False":
                return f"{kind} is false" + (f": {self.messages[kind]}" if self.messages.get(kind) else "")
        return ""

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> Pod:
        """From the API's object."""
        return _pod(msgspec.convert(obj, _Object))


class _Told(msgspec.Struct, rename="camel"):
    """What follows is as the API tells it, by its names: deletion_timestamp is its deletionTimestamp."""


class _Owner(_Told):
    kind: str
    name: str
    uid: str = ""
    controller: bool | None = None


class _Metadata(_Told):
    name: str
    namespace: str
    uid: str
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    owner_references: list[_Owner] | None = None


class _Variable(_Told):
    name: str


class _Gate(_Told):
    condition_type: str


class _Template(_Told):
    env: list[_Variable] | None = None


class _Spec(_Told):
    node_name: str = ""
    readiness_gates: list[_Gate] | None = None
    containers: list[_Template] | None = None


class _Condition(_Told):
    type: str
    status: str
    reason: str | None = None
    message: str | None = None


class _Standing(_Told):
    """How a container waits, or ended."""

    reason: str = ""
    message: str = ""
    exit_code: int | None = None


class _State(_Told):
    waiting: _Standing | None = None
    terminated: _Standing | None = None


class _ContainerStatus(_Told):
    name: str
    ready: bool = False
    restart_count: int = 0
    state: _State | None = None
    last_state: _State | None = None


class _Status(_Told):
    phase: str = "Unknown"
    pod_ip: str = msgspec.field(name="podIP", default="")
    conditions: list[_Condition] | None = None
    container_statuses: list[_ContainerStatus] | None = None


class _Object(_Told):
    """A pod as the API tells it, as much of it as a Pod keeps: what is not named here is not even made into objects."""

    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class _ListMeta(_Told):
    more: str | None = msgspec.field(name="continue", default=None)


class _Page(_Told):
    metadata: _ListMeta
    items: list[_Object] | None = None


_PAGE = msgspec.json.Decoder(_Page)


def read_page(raw: bytes) -> tuple[list[Pod], str]:
    """The pods of one page of a list, and what asks for the next page (empty: this is the last one)."""
    page = _PAGE.decode(raw)
    return list(map(_pod, page.items or ())), page.metadata.more or ""


def _pod(obj: _Object) -> Pod:
    meta, spec, status = obj.metadata, obj.spec, obj.status
    owner = next((o for o in meta.owner_references or () if o.controller), None)
    conditions = status.conditions or ()
    states = {intern(c.type): intern(c.status) for c in conditions}  # the same few words in every pod
    return Pod(
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        phase=status.phase,
        ready=states.get("Ready") == "True",
        deleting=meta.deletion_timestamp is not None,
        node=spec.node_name,
        ip=status.pod_ip,
        owner=f"{owner.kind}/{owner.name}" if owner else "",
        owner_uid=owner.uid if owner else "",
        created=meta.creation_timestamp or "",
        labels=meta.labels or {},
        gates=tuple(g.condition_type for g in spec.readiness_gates or ()),
        conditions=states,
        messages={c.type: said for c in conditions if (said := c.message or c.reason)},
        containers=tuple(map(_container, status.container_statuses or ())),
        environment=frozenset(e.name for c in spec.containers or () for e in c.env or ()),
    )


def _container(status: _ContainerStatus) -> Container:
    state = status.state or _State()
    waiting, terminated = state.waiting or _Standing(), state.terminated or _Standing()
    ended = state.terminated or (status.last_state or _State()).terminated or _Standing()
    return Container(
        name=status.name,
        ready=status.ready,
        restarts=status.restart_count,
        waiting=waiting.reason,
        message=waiting.message or terminated.message,
        terminated=terminated.reason,
        exit_code=ended.exit_code,
    )
