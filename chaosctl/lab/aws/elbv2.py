"""Load balancing in the lab's AWS: what the reconcilers see of moto's elbv2, and what they write back.

Everything is kept as plain attributes of moto's own objects, so that it is saved and restored with them. What moto
gets wrong is put right in corrections/elbv2/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from moto.acm.models import AWS_ROOT_CA, acm_backends
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.elbv2.ssl_policies import SSL_POLICIES
from moto.route53.models import route53_backends

from chaosctl.lab.aws.corrections.elbv2.targets import Observed
from chaosctl.lab.desired import (
    HealthCheck,
    Listener,
    LoadBalancer,
    RegisteredTarget,
    Rule,
    TargetGroup,
    TargetState,
    TlsPolicy,
)

ANYWHERE = "0.0.0.0/0"
SERVED = {"ISSUED", "EXPIRED"}  # statuses of certificates that clients get to see


class Elbv2View:
    """The load balancing methods of `desired.Store`, over moto's elbv2, ec2, acm and route53 backends."""

    def load_balancers(self) -> Sequence[LoadBalancer]:
        """Every load balancer, whatever its state."""
        return [
            _load_balancer(backend, found) for backend in _backends() for found in list(backend.load_balancers.values())
        ]

    def target_groups(self) -> Sequence[TargetGroup]:
        """Every target group of ip targets; targets that drain are among its targets until their delay is over."""
        return [
            _target_group(group)
            for backend in _backends()
            for group in list(backend.target_groups.values())
            if group.target_type == "ip"
        ]

    def aliases(self) -> Mapping[str, str]:
        """DNS name of a load balancer by the name that is its alias, both without the last dot, in lower case."""
        return {
            _plain(record.name): _plain(target["DNSName"])
            for _account, _region, backend in list(route53_backends.iter_backends())
            for zone in list(backend.zones.values())
            for record in list(zone.rrsets)
            if record.type == "A" and (target := record.alias_target)
        }

    def target_observed(
        self, target_group_arn: str, ip: str, port: int, state: TargetState, reason: str = "", description: str = ""
    ) -> None:
        """Keep what DescribeTargetHealth is to tell; ignored when the target is no longer there."""
        group = _group(target_group_arn)
        if group is not None and (ip, port) in group.targets:
            group.observed[(ip, port)] = Observed(state, reason, description)

    def target_drained(self, target_group_arn: str, ip: str, port: int) -> None:
        """Forget a target whose deregistration delay is over."""
        group = _group(target_group_arn)
        if group is not None:
            group.draining.pop((ip, port), None)
            group.deregistered_targets.pop((ip, port), None)

    def load_balancer_observed(self, arn: str, state: str, reason: str = "") -> None:
        """State is active or failed; `reason` is what DescribeLoadBalancers tells with it."""
        for backend in _backends():
            balancer = backend.load_balancers.get(arn)
            if balancer is not None:
                balancer.state, balancer.state_reason = state, reason


def _backends() -> Iterator[Any]:
    for _account, _region, backend in list(elbv2_backends.iter_backends()):
        yield backend


def _group(arn: str) -> Any | None:
    return next((b.target_groups[arn] for b in _backends() if arn in b.target_groups), None)


def _load_balancer(backend: Any, balancer: Any) -> LoadBalancer:
    listeners = tuple(_listener(backend, found) for found in list(balancer.listeners.values()))
    return LoadBalancer(
        arn=balancer.arn,
        name=balancer.name,
        dns_name=balancer.dns_name,
        vpc_id=balancer.vpc_id,
        scheme=balancer.scheme or "internet-facing",
        attributes={key: str(value) for key, value in balancer.attrs.items()},
        listeners=listeners,
        inbound=_inbound(backend, balancer, [listener.port for listener in listeners]),
    )


def _listener(backend: Any, listener: Any) -> Listener:
    rules = list(listener.rules.values())  # in the order of their priority, the default last
    return Listener(
        arn=listener.arn,
        port=int(listener.port),
        protocol=listener.protocol,
        rules=tuple(_rule(rule) for rule in rules),
        certificates=_certificates(backend, [*listener.certificates, *listener.sni_certificates]),
        tls=_tls_policy(listener),
        attributes=dict(listener.attributes),
    )


def _tls_policy(listener: Any) -> TlsPolicy | None:
    found = SSL_POLICIES.get(listener.ssl_policy) if listener.protocol in {"HTTPS", "TLS"} else None
    return TlsPolicy(tuple(found["ssl_protocols"]), tuple(found["ciphers"])) if found else None


def _plain(name: str) -> str:
    return name.rstrip(".").lower().removeprefix("dualstack.")


def _rule(rule: Any) -> Rule:
    return Rule(
        arn=rule.arn,
        priority=None if rule.is_default else int(rule.priority),
        conditions=tuple(dict(condition) for condition in rule.conditions),
        actions=tuple(dict(action.data) for action in rule.actions),
    )


def _certificates(backend: Any, arns: Sequence[str]) -> tuple[str, ...]:
    """Chain and key of each; moto appends Amazon's root to every chain, which would only confuse a client."""
    known = acm_backends[backend.account_id][backend.region_name]._certificates
    bundles = [known[arn] for arn in arns if arn in known and known[arn].status in SERVED]
    return tuple((b.cert + b"\n" + b.chain.replace(AWS_ROOT_CA, b"") + b"\n" + b.key).decode() for b in bundles)


def _inbound(backend: Any, balancer: Any, ports: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """The (cidr, port) pairs that the security groups admit; a network load balancer may have none and admit all."""
    if not balancer.security_groups:
        return tuple((ANYWHERE, port) for port in ports)
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    groups = [ec2.get_security_group_from_id(group_id) for group_id in balancer.security_groups]
    rules = [rule for group in groups if group is not None for rule in list(group.ingress_rules)]
    found = {(rule.cidr_ipv4, port) for rule in rules for port in ports if _admits(rule, port)}
    return tuple(sorted(found))


def _admits(rule: Any, port: int) -> bool:
    if not rule.cidr_ipv4:  # it admits another security group, and nothing on this machine is in one
        return False
    if rule.ip_protocol == "-1":
        return True
    return bool(rule.ip_protocol == "tcp" and rule.from_port <= port <= rule.to_port)


def _target_group(group: Any) -> TargetGroup:
    registered = [RegisteredTarget(ip, port) for ip, port in list(group.targets)]
    draining = [RegisteredTarget(ip, port, since) for (ip, port), since in group.still_draining().items()]
    return TargetGroup(
        arn=group.arn,
        name=group.name,
        vpc_id=group.vpc_id,
        protocol=group.protocol,
        port=int(group.port),
        health_check=_health_check(group),
        deregistration_delay=group.deregistration_delay,
        attributes={key: str(value) for key, value in group.attributes.items()},
        targets=tuple(registered + draining),
    )


def _health_check(group: Any) -> HealthCheck:
    matcher = getattr(group, "matcher", None) or {}
    return HealthCheck(
        protocol=group.health_check_protocol,
        port=str(group.health_check_port or "traffic-port"),
        path=group.health_check_path or "/",
        interval=int(group.health_check_interval_seconds),
        timeout=int(group.health_check_timeout_seconds),
        healthy_threshold=int(group.healthy_threshold_count),
        unhealthy_threshold=int(group.unhealthy_threshold_count),
        matcher=matcher.get("HttpCode") or "200",
    )
