"""Managed node groups: each owns an auto scaling group, made from the merged launch template."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, autoscaling_backends
from moto.ec2.models import EC2Backend
from moto.eks import models as base
from moto.eks.exceptions import InvalidParameterException

from chaosctl.lab.aws.eks.versions import KUBERNETES, image_id

if TYPE_CHECKING:
    from chaosctl.lab.aws.eks.models import LabCluster, LabEKSBackend

# What EKS takes over from the launch template that was given; the rest it decides itself.
MERGED = ("BlockDeviceMappings", "MetadataOptions", "Monitoring", "SecurityGroupIds", "TagSpecifications", "UserData")


class LabNodegroup(base.Nodegroup):
    """A node group: CREATING until as many nodes are ready as it desires, DELETING until they are gone."""

    def __init__(self, backend: LabEKSBackend, cluster: LabCluster, options: dict[str, Any], **given: Any) -> None:
        super().__init__(
            account_id=backend.account_id, region_name=backend.region_name, aws_partition=backend.partition, **given
        )
        self.backend = backend
        self.status = "CREATING"
        self.deleting_since: float | None = None
        self.ready: set[str] = set()  # instance ids
        self.version = given.get("version") or cluster.version
        self.release_version = given.get("release_version") or KUBERNETES[self.version].release
        self.ami_type = given.get("ami_type") or "AL2023_x86_64_STANDARD"
        self.remote_access = given.get("remote_access")
        self.disk_size = None if given.get("launch_template") else given.get("disk_size") or 20
        self.update_config = options.get("updateConfig") or {"maxUnavailable": 1}
        self.node_repair_config = options.get("nodeRepairConfig")
        self.health: dict[str, Any] = {"issues": []}
        self.asg_name = f"eks-{self.nodegroup_name}-{self.uuid}"
        self.template_name = f"eks-{self.uuid}"
        self.resources = {"autoScalingGroups": [{"name": self.asg_name}]}
        self.cluster_security_group = cluster.resources_vpc_config["clusterSecurityGroupId"]

    @property
    def autoscaling(self) -> AutoScalingBackend:
        """Auto scaling of the same account and region."""
        return autoscaling_backends[self.backend.account_id][self.backend.region_name]

    @property
    def group(self) -> FakeAutoScalingGroup | None:
        """Its auto scaling group, while that exists."""
        return self.autoscaling.autoscaling_groups.get(self.asg_name)

    @property
    def ssh_key(self) -> str | None:
        """The key pair asked for, if any."""
        return (self.remote_access or {}).get("ec2SshKey")

    def launch(self) -> None:
        """Create launch template and auto scaling group; the group starts its instances at once."""
        template = self.backend.ec2.create_launch_template(self.template_name, "", self._template_data(), {})
        self.autoscaling.create_auto_scaling_group(
            **self._sized(),
            launch_template={"LaunchTemplateId": template.id, "Version": "$Latest"},
            vpc_zone_identifier=",".join(self.subnets),
            default_cooldown=None,
            health_check_period=15,
            health_check_type="EC2",
            load_balancers=[],
            target_group_arns=[],
            placement_group=None,
            termination_policies=["AllocationStrategy", "OldestLaunchTemplate", "OldestInstance"],
            tags=self._group_tags(),
            capacity_rebalance=True,
        )

    def _sized(self) -> dict[str, Any]:
        """The auto scaling group by name, and as large as `scaling_config` says."""
        sizes = self.scaling_config
        return {
            "name": self.asg_name,
            "availability_zones": [],
            "desired_capacity": sizes["desiredSize"],
            "max_size": sizes["maxSize"],
            "min_size": sizes["minSize"],
            "launch_config_name": "",
        }

    def _template_data(self) -> dict[str, Any]:
        data = {"SecurityGroupIds": [self.cluster_security_group], **self._given_template()}
        arch = "arm64" if "ARM" in self.ami_type.upper() else "x86_64"
        data["ImageId"] = image_id(self.version, arch)
        data["InstanceType"] = self.instance_types[0]
        if self.disk_size:
            ebs = {"VolumeSize": self.disk_size, "VolumeType": "gp3", "DeleteOnTermination": True}
            data["BlockDeviceMappings"] = [{"DeviceName": "/dev/xvda", "Ebs": ebs}]
        if not self.launch_template:
            data["MetadataOptions"] = {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
        return data

    def _given_template(self) -> dict[str, Any]:
        if not self.launch_template:
            return {}
        templates = self.backend.ec2.launch_templates
        template = templates.get(self.launch_template.get("id", ""))
        if template is None:
            raise InvalidParameterException(
                clusterName=self.cluster_name,
                nodegroupName=self.nodegroup_name,
                message=f"Launch template details can't be null or not found: {self.launch_template}",
            )
        version = template.get_version(self.launch_template.get("version") or "$Default")
        self.launch_template["version"] = str(version.number)
        return {key: version.data[key] for key in MERGED if version.data.get(key)}

    def _group_tags(self) -> list[dict[str, Any]]:
        tags = {
            "eks:cluster-name": self.cluster_name,
            "eks:nodegroup-name": self.nodegroup_name,
            f"kubernetes.io/cluster/{self.cluster_name}": "owned",
            f"k8s.io/cluster-autoscaler/{self.cluster_name}": "owned",
            "k8s.io/cluster-autoscaler/enabled": "true",
        }
        return [{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in tags.items()]

    def relaunch_from(self, launch_template: dict[str, Any] | None) -> None:
        """Follow a new version: instances that start from now on use it."""
        if launch_template:
            self.launch_template.update({key: value for key, value in launch_template.items() if value})
        template = self.backend.ec2.get_launch_template_by_name(self.template_name)
        template.create_version(self._template_data(), "")
        template.default_version_number = template.latest_version_number

    def resize(self) -> None:
        """Make the auto scaling group follow `scaling_config`; wait for the nodes again if it grew."""
        self.autoscaling.update_auto_scaling_group(
            **self._sized(),
            launch_template={},
            vpc_zone_identifier="",
            health_check_period=None,
            health_check_type=None,
        )

    def follow(self) -> None:
        """Show the sizes of the auto scaling group: an autoscaler changes those directly."""
        group = self.group
        if group is not None:
            self.scaling_config = {
                "minSize": group.min_size,
                "maxSize": group.max_size,
                "desiredSize": group.desired_capacity,
            }

    def instances(self) -> list[Any]:
        """Its running instances, as moto keeps them."""
        group = self.group
        members = [] if group is None else group.active_instances()
        return [member.instance for member in members if member.instance.state == "running"]

    def outdated(self) -> list[Any]:
        """Running instances that were started from an older version of the launch template."""
        group = self.group
        if group is None or group.ec2_launch_template is None:
            return []
        latest = str(group.ec2_launch_template.latest_version_number)
        return [one for one in self.instances() if _tags(one).get("aws:ec2launchtemplate:version") != latest]

    @property
    def settled(self) -> bool:
        """Whether as many of its own nodes are ready as are desired, and none is outdated."""
        running = {instance.id for instance in self.instances()}
        return len(running & self.ready) >= int(self.scaling_config["desiredSize"]) and not self.outdated()

    def terminate(self) -> None:
        """Delete what it owns in EC2; its nodes follow."""
        if self.deleting_since is not None:
            return
        self.status, self.deleting_since = "DELETING", time.time()
        if self.group is not None:
            self.autoscaling.delete_auto_scaling_group(self.asg_name)
        self.backend.ec2.delete_launch_template(self.template_name, None)


def uses(ec2: EC2Backend, security_group: str) -> bool:
    """Whether a network interface is in that security group."""
    return any(group.id == security_group for eni in ec2.enis.values() for group in eni.group_set)


def _tags(instance: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in instance.get_tags()}
