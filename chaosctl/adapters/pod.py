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


class _Owner(msgspec.Struct):
    kind: str
    name: str
    uid: str = ""
    controller: bool | None = None


class _Metadata(msgspec.Struct):
    name: str
    namespace: str
    uid: str
    creationTimestamp: str | None = None  # noqa: N815, as in the API
    deletionTimestamp: str | None = None  # noqa: N815
    labels: dict[str, str] | None = None
    ownerReferences: list[_Owner] | None = None  # noqa: N815


class _Variable(msgspec.Struct):
    name: str


class _Gate(msgspec.Struct):
    conditionType: str  # noqa: N815


class _Template(msgspec.Struct):
    env: list[_Variable] | None = None


class _Spec(msgspec.Struct):
    nodeName: str = ""  # noqa: N815
    readinessGates: list[_Gate] | None = None  # noqa: N815
    containers: list[_Template] | None = None


class _Condition(msgspec.Struct):
    type: str
    status: str
    reason: str | None = None
    message: str | None = None


class _Standing(msgspec.Struct):
    """How a container waits, or ended."""

    reason: str = ""
    message: str = ""
    exitCode: int | None = None  # noqa: N815


class _State(msgspec.Struct):
    waiting: _Standing | None = None
    terminated: _Standing | None = None


class _ContainerStatus(msgspec.Struct):
    name: str
    ready: bool = False
    restartCount: int = 0  # noqa: N815
    state: _State | None = None
    lastState: _State | None = None  # noqa: N815


class _Status(msgspec.Struct):
    phase: str = "Unknown"
    podIP: str = ""  # noqa: N815
    conditions: list[_Condition] | None = None
    containerStatuses: list[_ContainerStatus] | None = None  # noqa: N815


class _Object(msgspec.Struct):
    """A pod as the API tells it, as much of it as a Pod keeps: what is not named here is not even made into objects."""

    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class _ListMeta(msgspec.Struct):
    more: str | None = msgspec.field(name="continue", default=None)


class _Page(msgspec.Struct):
    metadata: _ListMeta
    items: list[_Object] | None = None


_PAGE = msgspec.json.Decoder(_Page)


def read_page(raw: bytes) -> tuple[list[Pod], str]:
    """The pods of one page of a list, and what asks for the next page (empty: this is the last one)."""
    page = _PAGE.decode(raw)
    return list(map(_pod, page.items or ())), page.metadata.more or ""


def _pod(obj: _Object) -> Pod:
    meta, spec, status = obj.metadata, obj.spec, obj.status
    owner = next((o for o in meta.ownerReferences or () if o.controller), None)
    conditions = status.conditions or ()
    states = {intern(c.type): intern(c.status) for c in conditions}  # the same few words in every pod
    return Pod(
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        phase=status.phase,
        ready=states.get("Ready") == "True",
        deleting=meta.deletionTimestamp is not None,
        node=spec.nodeName,
        ip=status.podIP,
        owner=f"{owner.kind}/{owner.name}" if owner else "",
        owner_uid=owner.uid if owner else "",
        created=meta.creationTimestamp or "",
        labels=meta.labels or {},
        gates=tuple(g.conditionType for g in spec.readinessGates or ()),
        conditions=states,
        messages={c.type: said for c in conditions if (said := c.message or c.reason)},
        containers=tuple(map(_container, status.containerStatuses or ())),
        environment=frozenset(e.name for c in spec.containers or () for e in c.env or ()),
    )


def _container(status: _ContainerStatus) -> Container:
    state = status.state or _State()
    waiting, terminated = state.waiting or _Standing(), state.terminated or _Standing()
    ended = state.terminated or (status.lastState or _State()).terminated or _Standing()
    return Container(
        name=status.name,
        ready=status.ready,
        restarts=status.restartCount,
        waiting=waiting.reason,
        message=waiting.message or terminated.message,
        terminated=terminated.reason,
        exit_code=ended.exitCode,
    )
