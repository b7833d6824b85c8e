"""What EKS does only when it is asked to, one change at a time: the size of a node group, who may reach the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaosctl.adapters.aws import Aws, AwsRefused
from chaosctl.adapters.inventory import Deployment, is_ours
from chaosctl.errors import StageFailed
from chaosctl.events import Emit
from chaosctl.waiting import TimedOut, wait_until

UPDATE_SECONDS, POLL_SECONDS = 1800.0, 1.0
STEADY = ("ACTIVE", "DEGRADED")  # a node group that can be changed


@dataclass(frozen=True)
class Sizes:
    """How many nodes a group has: at least, at most, and by wish."""

    least: int
    most: int
    desired: int


@dataclass(frozen=True)
class NodeGroup:
    """A managed node group."""

    cluster: str
    name: str
    status: str
    sizes: Sizes


def node_groups(aws: Aws, deployment: Deployment) -> Iterator[NodeGroup]:
    """The node groups of a deployment; none while it has no cluster."""
    cluster = deployment.cluster
    try:
        for name in aws.pages("eks", "list_nodegroups", "nodegroups", clusterName=cluster):
            found = aws.call("eks", "describe_nodegroup", clusterName=cluster, nodegroupName=name)["nodegroup"]
            if is_ours(found.get("tags", {}), deployment):
                yield NodeGroup(cluster, name, found["status"], _sizes(found["scalingConfig"]))
    except AwsRefused as error:
        if not error.not_found:
            raise


def _sizes(told: Mapping[str, int]) -> Sizes:
    return Sizes(told["minSize"], told["maxSize"], told["desiredSize"])


def resize(aws: Aws, group: NodeGroup, sizes: Sizes, emit: Emit) -> None:
    """Make a node group as large as `sizes` say, all three in one request, and wait until EKS has done it.

    Raises StageFailed (EKS-UPDATE-FAILED).
    """
    _settle_group(aws, group, emit)
    wanted = {"minSize": sizes.least, "maxSize": sizes.most, "desiredSize": sizes.desired}
    named = {"clusterName": group.cluster, "nodegroupName": group.name}
    update = aws.call("eks", "update_nodegroup_config", **named, scalingConfig=wanted)["update"]
    _finish(aws, update, {"name": group.cluster, "nodegroupName": group.name}, f"node group {group.name}", emit)
    _settle_group(aws, group, emit)


def _settle_group(aws: Aws, group: NodeGroup, emit: Emit) -> None:
    """EKS makes one change at a time."""

    def status() -> tuple[bool, str]:
        named = {"clusterName": group.cluster, "nodegroupName": group.name}
        told = aws.call("eks", "describe_nodegroup", **named)["nodegroup"]["status"]
        return told in STEADY, told

    _wait(status, f"the node group {group.name} to be ready", emit)


def let_in(aws: Aws, cluster: str, networks: Sequence[str], emit: Emit) -> None:
    """Let exactly these networks reach the public endpoint of a cluster's API, and wait until EKS has done it.

    Raises StageFailed (EKS-UPDATE-FAILED).
    """
    wanted = {"publicAccessCidrs": list(networks)}
    update = aws.call("eks", "update_cluster_config", name=cluster, resourcesVpcConfig=wanted)["update"]
    _finish(aws, update, {"name": cluster}, f"cluster {cluster}", emit)


def _finish(aws: Aws, update: Mapping[str, Any], named: Mapping[str, str], what: str, emit: Emit) -> None:
    told = update

    def ended() -> tuple[bool, str]:
        nonlocal told
        told = aws.call("eks", "describe_update", **named, updateId=update["id"])["update"]
        return told["status"] != "InProgress", told["status"]

    _wait(ended, f"EKS to change the {what}", emit)
    if told["status"] != "Successful":
        raise _failed(what, "\n".join(f"{e['errorCode']}: {e['errorMessage']}" for e in told.get("errors") or ()))


def _wait(check: Any, what: str, emit: Emit) -> None:
    try:
        wait_until(check, what, timeout=UPDATE_SECONDS, emit=emit, interval=POLL_SECONDS)
    except TimedOut as late:
        raise _failed(what, str(late)) from late


def _failed(what: str, why: str) -> StageFailed:
    return StageFailed(
        f"EKS did not change the {what}",
        code="EKS-UPDATE-FAILED",
        why=why,
        remedy="correct what it names, then run the same command again",
    )
