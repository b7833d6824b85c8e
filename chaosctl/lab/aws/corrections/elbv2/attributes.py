"""Attributes and tags."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from moto.elbv2.exceptions import ELBClientError, LoadBalancerNotFoundError, TooManyTagsError, ValidationError
from moto.elbv2.models import ELBv2Backend, FakeTargetGroup

from chaosctl.lab.aws.corrections.elbv2.replace import replace

MAX_TAGS = 50  # of a resource: AWS's limit; moto stops at 10, which a controller's tags and a user's soon exceed

GROUP_DEFAULTS = {
    "deregistration_delay.timeout_seconds": "300",
    "load_balancing.algorithm.anomaly_mitigation": "off",
    "load_balancing.algorithm.type": "round_robin",
    "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "slow_start.duration_seconds": "0",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "stickiness.enabled": "false",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}


def apply() -> None:
    """Keys that moto does not know were refused, and defaults that AWS tells were not there."""
    create = FakeTargetGroup.__init__
    modify = ELBv2Backend.modify_target_group_attributes

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        create(self, *args, **kwargs)
        self.attributes = {**GROUP_DEFAULTS, **{key: str(value) for key, value in self.attributes.items()}}

    def modify_group_attributes(self: Any, target_group_arn: str, attributes: dict[str, Any]) -> None:
        delay = str(attributes.get("deregistration_delay.timeout_seconds", "0"))
        if not delay.isdigit() or int(delay) > 3600:
            raise ValidationError(
                f"'deregistration_delay.timeout_seconds' value '{delay}' must be between '0-3600' inclusive"
            )
        modify(self, target_group_arn, attributes)
        attributes.update(self.target_groups[target_group_arn].attributes)  # AWS answers with all of them

    replace(FakeTargetGroup, __init__=init)
    replace(
        ELBv2Backend,
        modify_load_balancer_attributes=_modify_balancer_attributes,
        modify_target_group_attributes=modify_group_attributes,
        add_tags=_add_tags,
    )


def _modify_balancer_attributes(self: Any, arn: str, attrs: Mapping[str, Any]) -> dict[str, Any]:
    balancer = self.load_balancers.get(arn)
    if balancer is None:
        raise LoadBalancerNotFoundError()
    malformed = [key for key in attrs if not re.fullmatch(r"[a-zA-Z0-9._]+", key)]
    if malformed:
        raise ELBClientError(
            "InvalidConfigurationRequest", f"Load balancer attribute key '{malformed[0]}' is not recognized"
        )
    balancer.attrs.update(attrs)
    return dict(balancer.attrs)


def _add_tags(self: Any, resource_arns: Sequence[str], tags: Sequence[Mapping[str, str]]) -> None:
    for arn in resource_arns:
        self._get_resource_by_arn(arn)
        existing = self.tagging_service.get_tag_dict_for_resource(arn)
        if len({*existing, *(tag["Key"] for tag in tags)}) > MAX_TAGS:
            raise TooManyTagsError()
        self.tagging_service.tag_resource(arn, tags)
