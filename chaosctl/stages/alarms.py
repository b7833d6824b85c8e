"""The stage that watches the app: alarms and a dashboard, with a Terraform module of their own, and its opposite.

Most alarms name the load balancer, which the controller makes when the app is installed: after terraform/ was applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaosctl.adapters import cloudwatch, elb, inventory
from chaosctl.adapters.aws import Aws, AwsRefused
from chaosctl.adapters.inventory import Leftover
from chaosctl.adapters.kube import DISRUPTION_BUDGETS, INGRESSES, Kube
from chaosctl.adapters.terraform import Terraform
from chaosctl.adapters.terraform_plan import ResourceChange, changes
from chaosctl.errors import PreconditionFailed
from chaosctl.stages import entrance, infra
from chaosctl.stages.access import Access
from chaosctl.stages.entrance import Entrance
from chaosctl.stages.stage import Context, StageResult
from chaosctl.stages.sweep import sweep

STATE_KEY = "{environment}/alarms.tfstate"  # in the bucket of the other states
SETTINGS = ("error_percent", "latency_seconds", "certificate_days")  # that the module takes as they are
UNKNOWN = "0" * 16  # in place of what the load balancer will be called, to see what is going to be made


@dataclass(frozen=True)
class Alarms:
    """Makes the alarms and the dashboard."""

    name: str = "alarms"

    def describe(self) -> str:
        """What it is going to do."""
        return "watch the app with alarms and a dashboard"

    def run(self, context: Context) -> StageResult:
        """Init, apply. Details: the names of the alarms. Raises PreconditionFailed (APP-MISSING) without the app."""
        wanted = variables(context, Access(context))
        terraform = _opened(context)
        if not terraform.settled:
            terraform.recover()  # alarms are put again without complaint, there is nothing to take over
        applied = terraform.apply(wanted)
        names = list(applied.outputs["alarms"])
        return StageResult(
            changed=bool(applied.changes),
            summary=f"{len(names)} alarms tell the topic {_topic_name(context)}, dashboard {wanted['cluster_name']}",
            details={"alarms": names, "topic": wanted["topic_arn"], "dashboard": wanted["cluster_name"]},
        )


def variables(context: Context, access: Access) -> dict[str, Any]:
    """The module's variables, from the settings and from what is there."""
    settings = context.settings
    ingress = access.kube.get(INGRESSES, settings.release, settings.namespace)
    door = entrance.entrance(access.aws, ingress) if ingress else None
    group = _group(access.aws, door) if door else ""
    if ingress is None or door is None or not group:
        raise PreconditionFailed(
            f"{settings.namespace}/{settings.release} cannot be watched",
            code="APP-MISSING",
            why="there is no such Ingress, or it has no load balancer yet",
            remedy="run `chaosctl app`, or `chaosctl up` for everything",
        )
    return {
        **_known(context, access),
        "load_balancer": cloudwatch.dimension_of(door.balancer.arn),
        "target_group": cloudwatch.dimension_of(group),
        "least_targets": _least_targets(access.kube, settings.namespace, settings.release),
        "certificate_arn": next(iter(entrance.certificates_of(ingress)), None),
    }


def examine(context: Context) -> list[ResourceChange]:
    """Every alarm that there is or would be, and what the stage would do to it. Takes no lock.

    Before there is a load balancer, its name is made up.
    """
    access = Access(context)
    try:
        wanted = variables(context, access)
    except PreconditionFailed:
        wanted = {
            **_known(context, access),
            "load_balancer": f"app/{UNKNOWN}/{UNKNOWN}",
            "target_group": f"targetgroup/{UNKNOWN}/{UNKNOWN}",
            "least_targets": 1,
        }
    terraform = _opened(context) if infra.has_bucket(context) else infra.without_state(context, infra.ALARMS)
    return changes(terraform.examine(wanted))


def has_state(context: Context) -> bool:
    """Whether the stage ever made anything that Terraform remembers."""
    return infra.has_bucket(context) and bool(_opened(context).known())


def remove(context: Context) -> StageResult:
    """Delete alarms and dashboard, and Terraform's memory of them.

    By request and not by `terraform destroy`: it takes no time, and needs neither lock nor state. First of all, or
    they would tell somebody of what is only being removed.
    """
    access, wanted = Access(context), infra.deployment(context)

    def look() -> list[Leftover]:
        return [item for item in inventory.watching(access.aws, wanted) if item.ours]

    gone, left = sweep(look, access.aws, context.emit)
    if not left and infra.has_bucket(context):
        _forget(context, access)
    return StageResult(bool(gone), f"{gone} things that watched are gone" if gone else "nothing watched it")


def _forget(context: Context, access: Access) -> None:
    key = STATE_KEY.format(environment=context.settings.environment)
    for name in (key, f"{key}.tflock"):
        try:
            access.aws.call("s3", "head_object", Bucket=context.target.state_bucket, Key=name)
        except AwsRefused as error:
            if not error.not_found:
                raise
        else:
            access.aws.call("s3", "delete_object", Bucket=context.target.state_bucket, Key=name)


def _opened(context: Context) -> Terraform:
    return infra.opened(context, infra.ALARMS, STATE_KEY)


def _known(context: Context, access: Access) -> dict[str, Any]:
    """The variables that do not depend on the load balancer."""
    settings, caller = context.settings, access.aws.caller()
    partition = caller.arn.split(":")[1]
    topic = f"arn:{partition}:sns:{context.target.region}:{caller.account}:{_topic_name(context)}"
    return {
        "region": context.target.region,
        "environment": settings.environment,
        "cluster_name": settings.cluster_name,
        "namespace": settings.namespace,
        "workload": settings.release,
        "topic_arn": topic,
        "least_nodes": settings.infra.node_min_size,
        "container_insights": settings.infra.container_insights,
        **{name: getattr(settings.alarms, name) for name in SETTINGS},
    }


def _group(aws: Aws, door: Entrance) -> str:
    """ARN of the app's target group: the one with targets; while the app is scaled to nothing none has any."""
    served = [target.group for target in door.targets]
    return next(iter(served or elb.attached_groups(aws, door.balancer)), "")


def _topic_name(context: Context) -> str:
    return f"{context.settings.cluster_name}-alarms"


def _least_targets(kube: Kube, namespace: str, release: str) -> int:
    """How many pods the app's disruption budget wants; one, when there is none or it is told in per cent."""
    budget: Mapping[str, Any] = kube.get(DISRUPTION_BUDGETS, release, namespace) or {}
    wanted = budget.get("spec", {}).get("minAvailable")
    return wanted if isinstance(wanted, int) else 1
