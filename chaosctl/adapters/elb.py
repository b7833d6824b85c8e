"""Load balancers and the health of their targets, as elbv2 tells it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaosctl.adapters.aws import Aws, AwsRefused

CLUSTER_TAG = "elbv2.k8s.aws/cluster"  # on all that the AWS Load Balancer Controller makes
PROTECTION = "deletion_protection.enabled"  # attribute of a load balancer
ANY_HOST = "*"
TAG_BATCH = 20  # ARNs per DescribeTags


@dataclass(frozen=True)
class LoadBalancer:
    """A load balancer. `state` is provisioning, active, active_impaired or failed."""

    arn: str
    name: str
    dns_name: str
    state: str
    scheme: str
    reason: str = ""  # why it is in that state, when AWS tells
    zone_id: str = ""  # of Route 53, for aliases of its DNS name


@dataclass(frozen=True)
class TargetHealth:
    """A target of a target group. `state` is initial, healthy, unhealthy, draining, unused or unavailable."""

    group: str  # ARN
    id: str  # IP address or instance
    port: int
    state: str
    reason: str = ""
    description: str = ""


@dataclass(frozen=True)
class Listener:
    """A port of a load balancer. `hosts` are those whose requests it forwards to targets, ANY_HOST where all are."""

    port: int
    certificates: frozenset[str]  # ARNs; empty for HTTP
    hosts: frozenset[str]


@dataclass(frozen=True)
class TargetGroup:
    """How targets are checked and let go. Seconds; counts in a row.

    idle_timeout  of the load balancer in front: how long it keeps a connection on which nothing is sent
    """

    path: str
    interval: float
    timeout: float
    healthy: int
    unhealthy: int
    deregistration_delay: float | None
    idle_timeout: float | None


def all_load_balancers(aws: Aws) -> list[LoadBalancer]:
    """Every load balancer of the region."""
    found = aws.pages("elbv2", "describe_load_balancers", "LoadBalancers")
    return [
        LoadBalancer(
            arn=lb["LoadBalancerArn"],
            name=lb["LoadBalancerName"],
            dns_name=lb.get("DNSName", ""),
            state=lb["State"]["Code"],
            scheme=lb.get("Scheme", ""),
            reason=lb["State"].get("Reason", ""),
            zone_id=lb.get("CanonicalHostedZoneId", ""),
        )
        for lb in found
    ]


def load_balancers(aws: Aws, cluster: str) -> list[LoadBalancer]:
    """Those that the controller made for a cluster."""
    every = all_load_balancers(aws)
    ours = set(_tagged(aws, [lb.arn for lb in every], cluster))
    return [lb for lb in every if lb.arn in ours]


def unprotect(aws: Aws, arn: str) -> bool:
    """Let a load balancer be deleted; False when it can be already, or is gone."""
    try:
        answer = aws.call("elbv2", "describe_load_balancer_attributes", LoadBalancerArn=arn)
        if {"Key": PROTECTION, "Value": "true"} not in answer["Attributes"]:
            return False
        off = [{"Key": PROTECTION, "Value": "false"}]
        aws.call("elbv2", "modify_load_balancer_attributes", LoadBalancerArn=arn, Attributes=off)
    except AwsRefused as error:
        if error.not_found:
            return False
        raise
    return True


def delete(aws: Aws, arn: str) -> None:
    """Ask for the deletion of a load balancer, whether it is protected or not."""
    unprotect(aws, arn)
    aws.call("elbv2", "delete_load_balancer", LoadBalancerArn=arn)


def target_groups(aws: Aws, cluster: str) -> list[str]:
    """ARNs of the target groups that the controller made for a cluster."""
    every = [tg["TargetGroupArn"] for tg in aws.pages("elbv2", "describe_target_groups", "TargetGroups")]
    return list(_tagged(aws, every, cluster))


def security_groups(aws: Aws, cluster: str) -> list[str]:
    """Ids of the security groups that the controller made for a cluster."""
    filters = [{"Name": f"tag:{CLUSTER_TAG}", "Values": [cluster]}]
    return [sg["GroupId"] for sg in aws.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=filters)]


def target_health(aws: Aws, load_balancer: LoadBalancer) -> list[TargetHealth]:
    """Health of all targets behind a load balancer; empty when it was deleted meanwhile."""
    try:
        return [health for group in attached_groups(aws, load_balancer) for health in _health(aws, group)]
    except AwsRefused as error:
        if error.not_found:
            return []
        raise


def attached_groups(aws: Aws, load_balancer: LoadBalancer) -> list[str]:
    """ARNs of the target groups behind a load balancer, also of those without targets; empty when it was deleted."""
    try:
        found = aws.pages("elbv2", "describe_target_groups", "TargetGroups", LoadBalancerArn=load_balancer.arn)
        return [group["TargetGroupArn"] for group in found]
    except AwsRefused as error:
        if error.not_found:
            return []
        raise


def listeners(aws: Aws, load_balancer: LoadBalancer) -> list[Listener]:
    """What a load balancer listens on; empty when it was deleted meanwhile."""
    try:
        found = list(aws.pages("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=load_balancer.arn))
        return [
            Listener(
                port=one["Port"],
                certificates=frozenset(c["CertificateArn"] for c in one.get("Certificates", ())),
                hosts=frozenset(_hosts(aws, one["ListenerArn"])),
            )
            for one in found
        ]
    except AwsRefused as error:
        if error.not_found:
            return []
        raise


def certificates(aws: Aws, load_balancer: LoadBalancer) -> list[str]:
    """ARNs of all that its HTTPS listeners serve; none where it serves plain HTTP."""
    found = aws.pages("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=load_balancer.arn)
    secure = (listener["ListenerArn"] for listener in found if listener.get("Certificates"))
    served = (
        held["CertificateArn"]
        for listener in secure
        for held in aws.pages("elbv2", "describe_listener_certificates", "Certificates", ListenerArn=listener)
    )
    return list(dict.fromkeys(served))


def _hosts(aws: Aws, listener: str) -> Iterator[str]:
    for rule in aws.pages("elbv2", "describe_rules", "Rules", ListenerArn=listener):
        if any(action["Type"] == "forward" for action in rule["Actions"]):
            named = [c for c in rule["Conditions"] if c["Field"] == "host-header"]
            yield from (value for c in named for value in c.get("HostHeaderConfig", c)["Values"])
            if not named:
                yield ANY_HOST


def groups_behind(aws: Aws, load_balancer: LoadBalancer) -> list[TargetGroup]:
    """The target groups of a load balancer."""
    idle = _seconds(
        aws.call("elbv2", "describe_load_balancer_attributes", LoadBalancerArn=load_balancer.arn),
        "idle_timeout.timeout_seconds",
    )
    return [
        TargetGroup(
            path=group.get("HealthCheckPath", ""),
            interval=float(group["HealthCheckIntervalSeconds"]),
            timeout=float(group["HealthCheckTimeoutSeconds"]),
            healthy=group["HealthyThresholdCount"],
            unhealthy=group["UnhealthyThresholdCount"],
            deregistration_delay=_deregistration_delay(aws, group["TargetGroupArn"]),
            idle_timeout=idle,
        )
        for group in _groups(aws, load_balancer)
    ]


def group_arns(aws: Aws, load_balancer: LoadBalancer) -> list[str]:
    """ARNs of the target groups of a load balancer."""
    return [group["TargetGroupArn"] for group in _groups(aws, load_balancer)]


def _groups(aws: Aws, load_balancer: LoadBalancer) -> Iterator[Any]:
    return aws.pages("elbv2", "describe_target_groups", "TargetGroups", LoadBalancerArn=load_balancer.arn)


def _deregistration_delay(aws: Aws, group: str) -> float | None:
    answer = aws.call("elbv2", "describe_target_group_attributes", TargetGroupArn=group)
    return _seconds(answer, "deregistration_delay.timeout_seconds")


def _seconds(answer: Mapping[str, Any], key: str) -> float | None:
    """One of the attributes in an answer; None when there is no such one, as the idle timeout of a network balancer."""
    seconds = {attribute["Key"]: attribute["Value"] for attribute in answer["Attributes"]}.get(key)
    return None if seconds is None else float(seconds)


def _health(aws: Aws, group: str) -> Iterator[TargetHealth]:
    answer = aws.call("elbv2", "describe_target_health", TargetGroupArn=group)
    for described in answer["TargetHealthDescriptions"]:
        target, health = described["Target"], described["TargetHealth"]
        yield TargetHealth(
            group=group,
            id=target["Id"],
            port=target.get("Port", 0),
            state=health["State"],
            reason=health.get("Reason", ""),
            description=health.get("Description", ""),
        )


def _tagged(aws: Aws, arns: Sequence[str], cluster: str) -> Iterable[str]:
    for start in range(0, len(arns), TAG_BATCH):
        for described in _tags(aws, arns[start : start + TAG_BATCH]):
            if {"Key": CLUSTER_TAG, "Value": cluster} in described["Tags"]:
                yield described["ResourceArn"]


def _tags(aws: Aws, arns: Sequence[str]) -> list[dict[str, Any]]:
    try:
        described: list[dict[str, Any]] = aws.call("elbv2", "describe_tags", ResourceArns=arns)["TagDescriptions"]
        return described
    except AwsRefused as error:
        if not error.not_found:
            raise
        # One of them was deleted since it was listed, and the whole batch is refused: ask one by one.
        return [tags for arn in arns for tags in _tags(aws, [arn])] if len(arns) > 1 else []
