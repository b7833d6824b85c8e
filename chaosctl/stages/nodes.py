"""How many nodes there are by the settings. Terraform sets that when it makes the group, and never again.

It has to leave the number alone, or each run would take back what an autoscaler did; without an autoscaler nobody else
acts upon a changed setting. It is done before Terraform is applied: EKS refuses a group that wants fewer nodes than it
must have at least, and Terraform changes the least without the number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chaosctl.adapters import eks
from chaosctl.adapters.eks import NodeGroup, Sizes
from chaosctl.adapters.inventory import Deployment
from chaosctl.config import InfraSettings
from chaosctl.events import Step
from chaosctl.stages import controller
from chaosctl.stages.stage import Context

GOING = ("DELETING", "CREATE_FAILED", "DELETE_FAILED")  # not to be resized: what becomes of it, Terraform decides


@dataclass(frozen=True)
class Resize:
    """A group that has another number of nodes than it should."""

    group: NodeGroup
    wanted: Sizes

    def __str__(self) -> str:
        return f"desired size is {self.group.sizes.desired}, infra.node_desired_size is {self.wanted.desired}"


def resizes(context: Context) -> Iterator[Resize]:
    """The groups whose number of nodes is not what the settings say; with an autoscaler: is out of their range."""
    settings = context.settings
    for group in eks.node_groups(context.aws, Deployment(settings.cluster_name, controller.tags(context))):
        wanted = wanted_sizes(settings.infra, group.sizes)
        if wanted.desired != group.sizes.desired and group.status not in GOING:
            yield Resize(group, wanted)


def wanted_sizes(infra: InfraSettings, now: Sizes) -> Sizes:
    """What a group should have; an autoscaler's number counts, as long as it is in the range."""
    least, most = infra.node_min_size, infra.node_max_size
    desired = max(least, min(now.desired, most)) if infra.node_autoscaling else infra.node_desired_size
    return Sizes(least, most, desired)


def resize(context: Context) -> bool:
    """Give every group its number of nodes; False when all have it."""
    found = list(resizes(context))
    for each in found:
        group, wanted = each.group, each.wanted
        context.emit(Step(f"node group {group.name}: {group.sizes.desired} -> {wanted.desired} nodes"))
        eks.resize(context.aws, group, wanted, context.emit)
    return bool(found)
