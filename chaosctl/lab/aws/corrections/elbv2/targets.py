"""Targets: by address and port, with what was observed of them, and the draining of those that leave."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from moto.elbv2.exceptions import TargetGroupNotFoundError, TargetNotRunning
from moto.elbv2.models import ELBv2Backend, FakeTargetGroup, elbv2_backends

from chaosctl.lab.aws.corrections.elbv2.replace import replace

Key = tuple[str, int]


@dataclass(frozen=True)
class Observed:
    """What was seen of a target: state, reason and description as DescribeTargetHealth spells them."""

    state: str
    reason: str = ""
    description: str = ""


REGISTERED = Observed("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
DRAINING = Observed("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
NOT_IN_USE = Observed(
    "unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
)
NOT_REGISTERED = Observed("unused", "Target.NotRegistered", "Target is not registered to the target group")


class TargetHealth:
    """One entry of DescribeTargetHealth; moto serializes its attributes."""

    def __init__(self, group: Any, target: Mapping[str, Any], observed: Observed) -> None:
        configured = str(group.health_check_port or "traffic-port")
        self.target = dict(target)
        self.health_check_port = str(target["Port"]) if configured == "traffic-port" else configured
        self.target_health = {
            "State": observed.state,
            "Reason": observed.reason or None,
            "Description": observed.description or None,
        }


def apply() -> None:
    """Targets were keyed by address only: a second port overwrote the first. Health was always `healthy`."""
    create = FakeTargetGroup.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        create(self, *args, **kwargs)
        self.observed = {}
        self.draining = {}

    replace(
        FakeTargetGroup,
        __init__=init,
        register=_register,
        deregister=_deregister,
        deregister_terminated_instances=_deregister_terminated,
        deregistration_delay=property(_deregistration_delay),
        still_draining=_still_draining,
        # Stayed there after the load balancer was deleted, so that a group seemed to be in use for ever.
        load_balancer_arns=property(_users, lambda self, value: None),
    )
    replace(ELBv2Backend, describe_target_health=_describe_target_health)


def _register(self: Any, targets: Iterable[Mapping[str, Any]]) -> None:
    for target in targets:
        instance = self.ec2_backend.get_instance_by_id(target["Id"])
        if instance and instance.state != "running":
            raise TargetNotRunning(instance_id=target["Id"])
        key = target_key(self, target)
        if key not in self.targets:
            self.targets[key] = _with_zone(self, {**target, "Port": key[1]})
            self.observed[key] = REGISTERED
        self.draining.pop(key, None)
        self.deregistered_targets.pop(key, None)


def _with_zone(group: Any, target: dict[str, Any]) -> dict[str, Any]:
    """AWS finds the zone of an address inside the VPC by itself, and tells it with the target's health."""
    if group.target_type == "ip" and not target.get("AvailabilityZone"):
        subnets = [s for zone in group.ec2_backend.subnets.values() for s in zone.values() if s.vpc_id == group.vpc_id]
        zones = [s.availability_zone for s in subnets if ip_address(target["Id"]) in ip_network(s.cidr_block)]
        if zones:
            target["AvailabilityZone"] = zones[0]
    return target


def _deregister(self: Any, targets: Iterable[Mapping[str, Any]]) -> None:
    # A target that is not registered was an error; AWS ignores it.
    for target in targets:
        ports = [target["Port"]] if target.get("Port") else [port for id_, port in self.targets if id_ == target["Id"]]
        for port in ports:
            _start_draining(self, (str(target["Id"]), int(port)))


def _start_draining(group: Any, key: Key) -> None:
    target = group.targets.pop(key, None)
    group.observed.pop(key, None)
    if target is not None and in_use(group):
        group.deregistered_targets[key] = target
        group.draining[key] = time.time()


def _deregister_terminated(self: Any, instance_ids: Sequence[str]) -> None:
    for key in [key for key in self.targets if key[0] in instance_ids]:
        _start_draining(self, key)


def _deregistration_delay(self: Any) -> int:
    return int(self.attributes["deregistration_delay.timeout_seconds"])


def _still_draining(self: Any) -> dict[Key, float]:
    """Wall-clock time at which each of the draining targets was deregistered; forgets those whose delay is over."""
    over = time.time() - self.deregistration_delay
    for key in [key for key, since in list(self.draining.items()) if since <= over]:
        self.draining.pop(key, None)
        self.deregistered_targets.pop(key, None)
    return dict(self.draining)


def _describe_target_health(
    self: Any, target_group_arn: str, targets: Sequence[Mapping[str, Any]]
) -> list[TargetHealth]:
    group = self.target_groups.get(target_group_arn)
    if group is None:
        raise TargetGroupNotFoundError()
    draining = group.still_draining()
    keys = [target_key(group, target) for target in targets] if targets else [*group.targets, *draining]
    return [_health(group, key, draining) for key in keys]


def _health(group: Any, key: Key, draining: Mapping[Key, float]) -> TargetHealth:
    if key in group.targets:
        observed = group.observed.get(key, REGISTERED) if in_use(group) else NOT_IN_USE
        return TargetHealth(group, group.targets[key], observed)
    if key in draining:
        return TargetHealth(group, group.deregistered_targets[key], DRAINING)
    return TargetHealth(group, {"Id": key[0], "Port": key[1]}, NOT_REGISTERED)


def _users(group: Any) -> list[str]:
    backend = elbv2_backends[group.account_id][group.region_name]
    return [
        balancer.arn for balancer in list(backend.load_balancers.values()) if _forwards(backend, balancer, group.arn)
    ]


def _forwards(backend: Any, balancer: Any, group_arn: str) -> bool:
    return any(
        group_arn in backend._get_target_group_arns_from(action.data)
        for listener in list(balancer.listeners.values())
        for rule in listener.rules.values()
        for action in rule.actions
    )


def target_key(group: Any, target: Mapping[str, Any]) -> Key:
    """What identifies a target in its group: address (or instance) and port."""
    return str(target["Id"]), int(target.get("Port") or group.port)


def in_use(group: Any) -> bool:
    """Whether a listener or a rule forwards to the target group."""
    return bool(_users(group))
