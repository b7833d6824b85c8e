"""The configuration of one load balancer: planned, identified and rendered."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from chaosctl.lab.desired import Listener, LoadBalancer, TargetGroup
from chaosctl.lab.haproxy.groups import Group, backend
from chaosctl.lab.haproxy.listeners import CONNECT_TIMEOUT, Frontend, frontend
from chaosctl.lab.haproxy.rules import forwarded_to
from chaosctl.lab.haproxy.words import short_id

PROBES = 4  # first checks of new targets of one target group at the same time
MIN_SLOTS = 8
NOWHERE = "0.0.0.0:1"  # the address of a slot without a target
FILES_PER_CONNECTION = 2


@dataclass(frozen=True)
class Slot:
    """What a slot starts with: address:port, and whether it is switched on."""

    address: str
    on: bool


Slots = Mapping[str, Sequence[Slot]]  # by ARN of the target group


@dataclass(frozen=True)
class Plan:
    """All of a load balancer but which targets it has. `files` are certificates and bodies, by file name."""

    id: str
    name: str
    address: str
    netns: str
    idle_timeout: int
    client_keep_alive: int
    frontends: tuple[Frontend, ...]
    groups: tuple[Group, ...]
    files: Mapping[str, str]


def plan(balancer: LoadBalancer, groups: Mapping[str, TargetGroup], address: str, netns: str) -> Plan:
    """What a load balancer needs of HAProxy; `groups` are all target groups by ARN, those that do not exist left out.

    Raises StageFailed (LB-UNREPRESENTABLE) for what the lab cannot do.
    """
    files: dict[str, str] = {}
    frontends = tuple(frontend(balancer, listener, files) for listener in sorted(balancer.listeners, key=_port))
    used = forwarded_to([rule for listener in balancer.listeners for rule in listener.rules])
    return Plan(
        id=short_id(balancer.arn),
        name=balancer.name,
        address=address,
        netns=netns,
        idle_timeout=int(balancer.attributes.get("idle_timeout.timeout_seconds", "60")),
        client_keep_alive=int(balancer.attributes.get("client_keep_alive.seconds", "3600")),
        frontends=frontends,
        groups=tuple(backend(groups[arn]) for arn in used if arn in groups),
        files=files,
    )


def _port(listener: Listener) -> int:
    return listener.port


def slots_for(targets: int) -> int:
    """How many slots a target group needs, so that it can double without a reload."""
    slots = MIN_SLOTS
    while slots < 2 * targets:
        slots *= 2
    return slots


def digest(wanted: Plan, slots: Slots, salt: str = "") -> str:
    """Identifies everything that takes a reload to change; `salt` is what else the processes depend on."""
    counts = sorted((arn, len(found)) for arn, found in slots.items())
    return hashlib.sha256(repr((wanted, sorted(wanted.files.items()), counts, salt)).encode()).hexdigest()[:32]


def render(
    wanted: Plan, slots: Slots, *, identity: str, directory: Path, run_socket: Path, access_log: Path, file_limit: int
) -> str:
    """The configuration file, with the targets that hold the slots now; `identity` is its digest."""
    servers = sum(2 * len(found) + PROBES for found in slots.values()) + len(wanted.frontends)
    return _template().render(
        plan=_placed(wanted, directory),
        digest=identity,
        slots=slots,
        socket=run_socket,
        access_log=access_log,
        state_file=directory / "servers.state",
        maxconn=max(100, min(4000, (file_limit - servers - 200) // FILES_PER_CONNECTION)),
        connect_timeout=CONNECT_TIMEOUT,
        probes=PROBES,
        nowhere=NOWHERE,
    )


def _placed(wanted: Plan, directory: Path) -> Any:
    """The plan with the names of its files made absolute."""

    def place(text: str) -> str:
        for name in wanted.files:
            text = re.sub(rf"(?<=(?:crt|ile) ){re.escape(name)}(?= |$)", str(directory / name), text)
        return text

    frontends = [
        Frontend(f.name, f.port, f.mode, place(f.tls), tuple(place(line) for line in f.lines)) for f in wanted.frontends
    ]
    return {**wanted.__dict__, "frontends": frontends}


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(  # noqa: S701 - it writes no HTML
        loader=jinja2.PackageLoader("chaosctl.lab"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    return environment.get_template("load_balancer.cfg.j2")
