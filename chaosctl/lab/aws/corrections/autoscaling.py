"""Auto scaling: where instances start, with what, and who replaces them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from moto.autoscaling.models import ASG_NAME_TAG, AutoScalingBackend, FakeAutoScalingGroup, InstanceState

from chaosctl.lab.aws.corrections.network_interfaces import add_prefixes

NODE_TAG = "eks:cluster-name"


def apply() -> None:
    """Apply all of them."""
    _launching()
    _shrinking()
    AutoScalingBackend.notify_terminate_instances = _forget


def _launching() -> None:
    # All instances start in the first subnet, without metadata options, in us-east-1, with one disk too many.
    in_one_zone = FakeAutoScalingGroup.replace_autoscaling_group_instances

    def launch(self: FakeAutoScalingGroup, count_needed: int, propagated_tags: dict[str, str]) -> None:
        if not (self.vpc_zone_identifier and self.ec2_launch_template):
            in_one_zone(self, count_needed, propagated_tags)
            return
        for _ in range(count_needed):
            instance = _start(self, {**propagated_tags, ASG_NAME_TAG: self.name, **self.instance_tags})
            instance.autoscaling_group = self
            state = InstanceState(instance, protected_from_scale_in=self.new_instances_protected_from_scale_in)
            self.instance_states.append(state)

    FakeAutoScalingGroup.replace_autoscaling_group_instances = launch


def _start(group: FakeAutoScalingGroup, tags: dict[str, str]) -> Any:
    version = group.ec2_launch_template.get_version(group.launch_template_version)
    data = version.data
    reservation = group.ec2_backend.run_instances(
        group.image_id,
        1,
        group.user_data,
        group.security_groups,
        instance_type=group.instance_type,
        tags={"instance": tags},
        launch_template={"LaunchTemplateId": group.ec2_launch_template.id, "Version": version.number},
        is_instance_type_default=False,
        associate_public_ip=None,
        subnet_id=_emptiest_subnet(group),
        region_name=group.region,
        metadata_options=data.get("MetadataOptions") or {},
        monitoring_state="enabled" if (data.get("Monitoring") or {}).get("Enabled") else "disabled",
        block_device_mappings=data.get("BlockDeviceMappings") or [],
    )
    instance = reservation.instances[0]
    if NODE_TAG in tags:
        add_prefixes(instance.nics[0])
    return instance


def _emptiest_subnet(group: FakeAutoScalingGroup) -> str:
    members = Counter(state.instance.subnet_id for state in group.active_instances())
    return str(min(group.vpc_zone_identifier.split(","), key=lambda subnet: members[subnet]))


def _shrinking() -> None:
    # Which instances go is arbitrary; AWS keeps the zones balanced, and takes the oldest of the fullest one.
    resize = FakeAutoScalingGroup.set_desired_capacity

    def set_desired_capacity(self: FakeAutoScalingGroup, new_capacity: int | None) -> None:
        self.instance_states = _removal_order(self.instance_states)
        resize(self, new_capacity)

    FakeAutoScalingGroup.set_desired_capacity = set_desired_capacity


def _removal_order(states: list[InstanceState]) -> list[InstanceState]:
    oldest_first = sorted(states, key=lambda state: state.instance.launch_time)
    left = Counter(state.instance.subnet_id for state in states)
    order = []
    while oldest_first:
        fullest = max(oldest_first, key=lambda state: left[state.instance.subnet_id])
        oldest_first.remove(fullest)
        left[fullest.instance.subnet_id] -= 1
        order.append(fullest)
    return order


def _forget(backend: AutoScalingBackend, instance_ids: list[str]) -> None:
    # A terminated instance is replaced before TerminateInstances answers; the lab's scaling loop does that later.
    for name, group in backend.autoscaling_groups.items():
        kept = [state for state in group.instance_states if state.instance.id not in instance_ids]
        if len(kept) != len(group.instance_states):
            group.instance_states = kept
            backend.update_attached_elbs(name)
            backend.update_attached_target_groups(name)
