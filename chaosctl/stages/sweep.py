"""Deleting through the AWS API what has no owner any more: what a killed Terraform forgot, and what AWS left itself.

Level-triggered: each pass looks, then asks for everything's deletion in an order that mostly works. What AWS refuses
because something else still uses it comes again in the next pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from chaosctl.adapters import elb
from chaosctl.adapters.aws import Aws, AwsRefused
from chaosctl.adapters.inventory import Leftover
from chaosctl.events import Emit, Step, Waiting
from chaosctl.waiting import HEARTBEAT

PATIENCE = 60.0  # seconds without any change, after which what is left will stay; AWS shows removals with delay
SLOW_PATIENCE = 1200.0  # the same while something is left that AWS takes minutes to remove
SLOW = {"EKS cluster", "EKS node group", "NAT gateway", "instance", "load balancer"}
PAUSE = 1.0


def sweep(look: Callable[[], list[Leftover]], aws: Aws, emit: Emit) -> tuple[int, list[Leftover]]:
    """Delete what `look` finds and is surely ours, until nothing is left or nothing changes any more.

    Returns how many things went, and what is left, each with the reason why it cannot be deleted.
    """
    left = look()
    at_first, since, said = len(left), time.monotonic(), time.monotonic()
    refusals: dict[str, str] = {}
    while any(map(_deletable, left)) and time.monotonic() - since < _patience(left):
        for item in askable(left):
            _ask(aws, item, refusals, emit)
        now = look()
        if now and now == left:
            time.sleep(PAUSE)
        elif now != left:
            left, since = now, time.monotonic()
        if left and time.monotonic() - said > HEARTBEAT:
            emit(Waiting("the last things to go", time.monotonic() - since, _names(left)))
            said = time.monotonic()
    return at_first - len(left), [_explained(item, refusals) for item in left]


def askable(left: Sequence[Leftover]) -> list[Leftover]:
    """What may be deleted now, in order: what something slow may still use (its subnets, its role) outlives that."""
    ranked = sorted(left, key=lambda item: _rank(item.kind))
    barrier = min((_rank(item.kind) for item in left if item.kind in SLOW), default=len(ORDER))
    return [item for item in ranked if _deletable(item) and _rank(item.kind) <= barrier]


def _deletable(item: Leftover) -> bool:
    return item.ours and item.kind in DELETIONS


def _patience(left: Sequence[Leftover]) -> float:
    return SLOW_PATIENCE if any(item.kind in SLOW and item.ours for item in left) else PATIENCE


def _names(left: Sequence[Leftover]) -> str:
    return ", ".join(f"{item.kind} {item.id}" for item in left)[:200]


def _rank(kind: str) -> int:
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def _explained(item: Leftover, refusals: Mapping[str, str]) -> Leftover:
    reason = refusals.get(item.id)
    return Leftover(item.kind, item.id, f"{item.why}; {reason}" if reason else item.why, item.ours)


def _ask(aws: Aws, item: Leftover, refusals: dict[str, str], emit: Emit) -> None:
    """Ask once for a deletion; a refusal is kept for the end."""
    try:
        DELETIONS[item.kind](aws, item.id)
    except AwsRefused as error:
        if not error.not_found:
            refusals[item.id] = error.why
        return
    if refusals.get(item.id) != "":
        emit(Step(f"deleting {item.kind} {item.id}"))
    refusals[item.id] = ""


def _by_call(service: str, operation: str, argument: str, *, many: bool = False) -> Callable[[Aws, str], None]:
    def delete(aws: Aws, identifier: str) -> None:
        aws.call(service, operation, **{argument: [identifier] if many else identifier})

    return delete


def _node_group(aws: Aws, identifier: str) -> None:
    cluster, _, name = identifier.partition("/")
    aws.call("eks", "delete_nodegroup", clusterName=cluster, nodegroupName=name)


def _cluster(aws: Aws, arn: str) -> None:
    name = arn.rpartition("/")[2]
    if aws.call("eks", "describe_cluster", name=name)["cluster"].get("deletionProtection"):
        aws.call("eks", "update_cluster_config", name=name, deletionProtection=False)
    aws.call("eks", "delete_cluster", name=name)


def _role(aws: Aws, arn: str) -> None:
    name = arn.rpartition("/")[2]
    for policy in aws.pages("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=name):
        aws.call("iam", "detach_role_policy", RoleName=name, PolicyArn=policy["PolicyArn"])
    for inline in aws.pages("iam", "list_role_policies", "PolicyNames", RoleName=name):
        aws.call("iam", "delete_role_policy", RoleName=name, PolicyName=inline)
    for profile in aws.pages("iam", "list_instance_profiles_for_role", "InstanceProfiles", RoleName=name):
        aws.call(
            "iam",
            "remove_role_from_instance_profile",
            RoleName=name,
            InstanceProfileName=profile["InstanceProfileName"],
        )
    aws.call("iam", "delete_role", RoleName=name)


def _internet_gateway(aws: Aws, identifier: str) -> None:
    found = aws.call("ec2", "describe_internet_gateways", InternetGatewayIds=[identifier])["InternetGateways"]
    for attachment in found[0]["Attachments"]:
        aws.call("ec2", "detach_internet_gateway", InternetGatewayId=identifier, VpcId=attachment["VpcId"])
    aws.call("ec2", "delete_internet_gateway", InternetGatewayId=identifier)


def _route_table(aws: Aws, identifier: str) -> None:
    found = aws.call("ec2", "describe_route_tables", RouteTableIds=[identifier])["RouteTables"]
    for association in found[0]["Associations"]:
        aws.call("ec2", "disassociate_route_table", AssociationId=association["RouteTableAssociationId"])
    aws.call("ec2", "delete_route_table", RouteTableId=identifier)


def _key(aws: Aws, arn: str) -> None:
    for alias in aws.pages("kms", "list_aliases", "Aliases", KeyId=arn):
        aws.call("kms", "delete_alias", AliasName=alias["AliasName"])
    aws.call("kms", "schedule_key_deletion", KeyId=arn.rpartition("/")[2], PendingWindowInDays=7)


DELETIONS: Mapping[str, Callable[[Aws, str], None]] = {
    "alarm": _by_call("cloudwatch", "delete_alarms", "AlarmNames", many=True),
    "dashboard": _by_call("cloudwatch", "delete_dashboards", "DashboardNames", many=True),
    "SNS topic": _by_call("sns", "delete_topic", "TopicArn"),
    "load balancer": elb.delete,
    "target group": _by_call("elbv2", "delete_target_group", "TargetGroupArn"),
    "EKS node group": _node_group,
    "EKS cluster": _cluster,
    "instance": _by_call("ec2", "terminate_instances", "InstanceIds", many=True),
    "volume": _by_call("ec2", "delete_volume", "VolumeId"),
    "flow log": _by_call("ec2", "delete_flow_logs", "FlowLogIds", many=True),
    "VPC endpoint": _by_call("ec2", "delete_vpc_endpoints", "VpcEndpointIds", many=True),
    "NAT gateway": _by_call("ec2", "delete_nat_gateway", "NatGatewayId"),
    "Elastic IP": _by_call("ec2", "release_address", "AllocationId"),
    "network interface": _by_call("ec2", "delete_network_interface", "NetworkInterfaceId"),
    "security group": _by_call("ec2", "delete_security_group", "GroupId"),
    "internet gateway": _internet_gateway,
    "route table": _route_table,
    "subnet": _by_call("ec2", "delete_subnet", "SubnetId"),
    "VPC": _by_call("ec2", "delete_vpc", "VpcId"),
    "launch template": _by_call("ec2", "delete_launch_template", "LaunchTemplateId"),
    "log group": _by_call("logs", "delete_log_group", "logGroupName"),
    "IAM role": _role,
    "KMS key": _key,
    "certificate": _by_call("acm", "delete_certificate", "CertificateArn"),
}
ORDER = list(DELETIONS)  # what uses something else before what it uses
