"""What is in an AWS account, listed with boto3 alone: chaosctl's own inventory is what is to be checked with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

GONE = {"deleted", "deleting", "terminated", "shutting-down"}
# service, operation, key of the answer, key of the name
LISTED = [
    ("ec2", "describe_subnets", "Subnets", "SubnetId"),
    ("ec2", "describe_vpcs", "Vpcs", "VpcId"),
    ("ec2", "describe_nat_gateways", "NatGateways", "NatGatewayId"),
    ("ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("ec2", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    ("ec2", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("ec2", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("ec2", "describe_flow_logs", "FlowLogs", "FlowLogId"),
    ("ec2", "describe_addresses", "Addresses", "AllocationId"),
    ("ec2", "describe_volumes", "Volumes", "VolumeId"),
    ("ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
    ("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"),
    ("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupArn"),
    ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", "AutoScalingGroupARN"),
    ("iam", "list_roles", "Roles", "Arn"),
    ("iam", "list_instance_profiles", "InstanceProfiles", "Arn"),
    ("iam", "list_open_id_connect_providers", "OpenIDConnectProviderList", "Arn"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmArn"),
    ("sns", "list_topics", "Topics", "TopicArn"),
]


def census(aws: Callable[[str], Any]) -> frozenset[str]:
    """Everything that costs money or would be in the way of the next deployment. `aws` makes a client of a service."""
    return frozenset(_listed(aws))


def _listed(aws: Callable[[str], Any]) -> Iterator[str]:
    for service, operation, key, name in LISTED:
        for item in getattr(aws(service), operation)()[key]:
            if item.get("State") not in GONE:
                yield f"{key} {item[name]}"
    for reservation in aws("ec2").describe_instances()["Reservations"]:
        yield from (f"instance {i['InstanceId']}" for i in reservation["Instances"] if i["State"]["Name"] not in GONE)
    yield from (f"cluster {name}" for name in aws("eks").list_clusters()["clusters"])
    yield from (f"policy {policy['Arn']}" for policy in aws("iam").list_policies(Scope="Local")["Policies"])
    kms = aws("kms")
    aliases = kms.list_aliases()["Aliases"]
    amazons = {a.get("TargetKeyId") for a in aliases if a["AliasName"].startswith("alias/aws/")}  # every account's
    for key in kms.list_keys()["Keys"]:
        if key["KeyId"] not in amazons and _enabled(kms, key["KeyId"]):
            yield f"KMS key {key['KeyId']}"


def _enabled(kms: Any, key: str) -> bool:
    return bool(kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled")
