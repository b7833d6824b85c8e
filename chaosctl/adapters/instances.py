"""EC2 instances, as far as their life is concerned, and how target groups are checked: what chaos does to AWS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaosctl.adapters.aws import Aws, AwsRefused

CLUSTER_TAG, GROUP_TAG = "eks:cluster-name", "eks:nodegroup-name"


@dataclass(frozen=True)
class NodeGroup:
    """A managed node group: the fewest nodes that it may have, and how many it is to have."""

    cluster: str
    name: str
    least: int
    wanted: int


class Instances:
    """The instances of one account and region, and its target groups."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def state(self, instance: str) -> str:
        """pending, running, shutting-down, terminated ...; empty when AWS knows no such instance."""
        try:
            answer = self._aws.call("ec2", "describe_instances", InstanceIds=[instance])
        except AwsRefused as error:
            if error.not_found:
                return ""
            raise
        found = [one for reservation in answer["Reservations"] for one in reservation["Instances"]]
        return str(found[0]["State"]["Name"]) if found else ""

    def group_of(self, instance: str) -> NodeGroup | None:
        """The managed node group of an instance, by the tags that EKS gives it; None when it is in none."""
        answer = self._aws.call("ec2", "describe_instances", InstanceIds=[instance])
        found = [one for reservation in answer["Reservations"] for one in reservation["Instances"]]
        tags = {tag["Key"]: tag["Value"] for tag in (found[0].get("Tags") or ())} if found else {}
        cluster, name = tags.get(CLUSTER_TAG), tags.get(GROUP_TAG)
        if not cluster or not name:
            return None
        described = self._aws.call("eks", "describe_nodegroup", clusterName=cluster, nodegroupName=name)["nodegroup"]
        sizes = described["scalingConfig"]
        return NodeGroup(cluster, name, sizes["minSize"], sizes["desiredSize"])

    def resize(self, cluster: str, group: str, least: int, wanted: int) -> None:
        """Give a node group other sizes; returns when that was acknowledged."""
        sizes = {"minSize": least, "desiredSize": wanted}
        self._aws.call("eks", "update_nodegroup_config", clusterName=cluster, nodegroupName=group, scalingConfig=sizes)

    def terminate(self, instance: str) -> None:
        """Terminate it; returns when that was acknowledged."""
        self._aws.call("ec2", "terminate_instances", InstanceIds=[instance])

    def check_path(self, group: str) -> str:
        """Where a load balancer checks the targets of a group (ARN); empty when there is none, or no path."""
        try:
            answer = self._aws.call("elbv2", "describe_target_groups", TargetGroupArns=[group])
        except AwsRefused as error:
            if error.not_found:
                return ""
            raise
        return str(answer["TargetGroups"][0].get("HealthCheckPath", ""))

    def check_at(self, group: str, path: str) -> None:
        """Have them checked at another path; returns when that was acknowledged."""
        self._aws.call("elbv2", "modify_target_group", TargetGroupArn=group, HealthCheckPath=path)

    def health(self, group: str) -> Sequence[str]:
        """The state of each target of a group."""
        answer = self._aws.call("elbv2", "describe_target_health", TargetGroupArn=group)
        return [described["TargetHealth"]["State"] for described in answer["TargetHealthDescriptions"]]
