"""The loop that keeps auto scaling groups at their size, and follows node groups to their end."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from moto.autoscaling.models import FakeAutoScalingGroup, autoscaling_backends
from moto.eks.models import eks_backends

from chaosctl.lab.aws.eks.models import LabCluster, LabEKSBackend
from chaosctl.lab.aws.eks.nodegroups import LabNodegroup
from chaosctl.lab.aws.world import LOCK, Changes

log = logging.getLogger(__name__)

REPLACE_AFTER = 2.0  # seconds that an instance is missed before another one starts
LEAVE_WITHIN = 20.0  # seconds that a deleted node group waits for its nodes to be reported gone


class Scaling:
    """A `Reconciler`: replaces lost instances after a moment, outdated ones a few at a time."""

    name = "scaling"

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._missed: dict[str, float] = {}  # ARN of a group -> when it was first seen too small

    def reconcile(self) -> None:
        """One pass over all groups of all regions."""
        with LOCK:
            changed = [self._fill(group) for group in _groups()]
            for backend, cluster, group in list(_nodegroups()):
                group.follow()
                changed += [self._roll(group), self._end(backend, cluster, group)]
        if any(changed):
            self._changes.announce()

    def _fill(self, group: FakeAutoScalingGroup) -> bool:
        stopped = [state.instance.id for state in group.active_instances() if state.instance.state == "stopped"]
        if stopped:
            group.ec2_backend.terminate_instances(stopped)
        alive = [state for state in group.instance_states if state.instance.state == "running"]
        group.instance_states = alive
        missing = (group.desired_capacity or 0) - len(group.active_instances())
        if missing <= 0:
            self._missed.pop(group.arn, None)
            return bool(stopped)
        since = self._missed.setdefault(group.arn, time.monotonic())
        if time.monotonic() - since < REPLACE_AFTER:
            return bool(stopped)
        del self._missed[group.arn]
        log.info("%s: starting %d instances", group.name, missing)
        group.replace_autoscaling_group_instances(missing, group.get_propagated_tags())
        return True

    def _roll(self, group: LabNodegroup) -> bool:
        """Terminate as many outdated instances as the update configuration lets be away at a time."""
        outdated = group.outdated()
        members = group.instances()
        away = int(group.scaling_config["desiredSize"]) - sum(one.id in group.ready for one in members)
        room = _unavailable(group, len(members)) - away
        if group.deleting_since is not None or not outdated or room <= 0:
            return False
        going = [instance.id for instance in outdated[:room]]
        log.info("%s: replacing %s", group.asg_name, ", ".join(going))
        group.backend.ec2.terminate_instances(going)
        return True

    def _end(self, backend: LabEKSBackend, cluster: LabCluster, group: LabNodegroup) -> bool:
        since = group.deleting_since
        if since is None or (group.ready and time.time() - since < LEAVE_WITHIN):
            return False
        backend.nodegroup_gone(cluster.name, group.nodegroup_name)
        return True


def _unavailable(group: LabNodegroup, size: int) -> int:
    percentage = group.update_config.get("maxUnavailablePercentage")
    return max(1, size * percentage // 100) if percentage else int(group.update_config.get("maxUnavailable") or 1)


def _groups() -> Iterator[FakeAutoScalingGroup]:
    for _, _, backend in list(autoscaling_backends.iter_backends()):
        yield from list(backend.autoscaling_groups.values())


def _nodegroups() -> Iterator[tuple[LabEKSBackend, LabCluster, LabNodegroup]]:
    for _, _, backend in list(eks_backends.iter_backends()):
        for cluster in list(backend.clusters.values()):
            for group in list(cluster.nodegroups.values()):
                yield backend, cluster, group
