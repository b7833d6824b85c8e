"""The auto scaling groups that carry the tags, and what is done to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Group:
    """An auto scaling group; `instances` are those that are not on their way out."""

    name: str
    least: int
    most: int
    desired: int
    instances: frozenset[str]


class Groups:
    """AWS Auto Scaling, as far as it is needed."""

    def __init__(self, client: Any, tags: Sequence[str]) -> None:
        self._client, self._tags = client, set(tags)

    def all(self) -> list[Group]:
        """Those that have all the tags."""
        pages = self._client.get_paginator("describe_auto_scaling_groups").paginate()
        found = [group for page in pages for group in page["AutoScalingGroups"]]
        return [_group(group) for group in found if self._tags <= {tag["Key"] for tag in group.get("Tags") or ()}]

    def grow(self, group: Group, nodes: int) -> None:
        """Let that many more start."""
        self._client.set_desired_capacity(
            AutoScalingGroupName=group.name, DesiredCapacity=group.desired + nodes, HonorCooldown=False
        )

    def terminate(self, instance: str) -> None:
        """End an instance, and have no other in its place."""
        self._client.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=True)


def _group(found: dict[str, Any]) -> Group:
    members = found.get("Instances") or ()
    staying = {m["InstanceId"] for m in members if not m["LifecycleState"].startswith(("Terminat", "Detach"))}
    return Group(
        found["AutoScalingGroupName"],
        found["MinSize"],
        found["MaxSize"],
        found["DesiredCapacity"],
        frozenset(staying),
    )
