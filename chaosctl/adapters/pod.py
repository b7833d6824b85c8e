"""A pod, as much of it as this program looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any


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
        meta, spec, status = obj["metadata"], obj.get("spec", {}), obj.get("status", {})
        owner: Mapping[str, Any] = next((o for o in meta.get("ownerReferences", ()) if o.get("controller")), {})
        conditions = status.get("conditions") or ()
        states = {intern(c["type"]): intern(c["status"]) for c in conditions}  # the same few words in every pod
        return cls(
            name=meta["name"],
            namespace=meta["namespace"],
            uid=meta["uid"],
            phase=status.get("phase", "Unknown"),
            ready=states.get("Ready") == "True",
            deleting="deletionTimestamp" in meta,
            node=spec.get("nodeName", ""),
            ip=status.get("podIP", ""),
            owner=f"{owner['kind']}/{owner['name']}" if owner else "",
            owner_uid=owner.get("uid", ""),
            created=meta.get("creationTimestamp", ""),
            labels=meta.get("labels") or {},
            gates=tuple(g["conditionType"] for g in spec.get("readinessGates") or ()),
            conditions=states,
            messages={c["type"]: said for c in conditions if (said := c.get("message") or c.get("reason"))},
            containers=tuple(_container(c) for c in status.get("containerStatuses") or ()),
            environment=frozenset(e["name"] for c in spec.get("containers", ()) for e in c.get("env") or ()),
        )


def _container(status: Mapping[str, Any]) -> Container:
    state = status.get("state", {})
    waiting, terminated = state.get("waiting", {}), state.get("terminated", {})
    ended = terminated or status.get("lastState", {}).get("terminated", {})
    return Container(
        name=status["name"],
        ready=status.get("ready", False),
        restarts=status.get("restartCount", 0),
        waiting=waiting.get("reason", ""),
        message=waiting.get("message") or terminated.get("message") or "",
        terminated=terminated.get("reason", ""),
        exit_code=ended.get("exitCode"),
    )
