"""What AWS refuses and moto takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.elbv2.exceptions import TargetGroupNotFoundError, ValidationError
from moto.elbv2.models import ELBv2Backend
from moto.elbv2.responses import ELBV2Response

from chaosctl.lab.aws.corrections.elbv2.replace import replace

# Limits of the health check of a target group: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
LIMITS = {
    "health_check_interval_seconds": (5, 300, "interval"),
    "health_check_timeout_seconds": (2, 120, "timeout"),
    "healthy_threshold_count": (2, 10, "healthy threshold count"),
    "unhealthy_threshold_count": (2, 10, "unhealthy threshold count"),
}


def apply() -> None:
    """ModifyTargetGroup accepted any health check, and matchers of gRPC were lost."""
    create = ELBv2Backend.create_target_group
    modify = ELBv2Backend.modify_target_group
    respond = ELBV2Response.modify_target_group

    def create_target_group(self: Any, name: str, **kwargs: Any) -> Any:
        group = create(self, name, **kwargs)
        try:
            _check_health_check(group, {})
        except ValidationError:
            del self.target_groups[group.arn]
            raise
        return group

    def modify_target_group(
        self: Any,
        arn: str,
        proto: str | None = None,
        port: str | None = None,
        path: str | None = None,
        interval: int | None = None,
        timeout: int | None = None,
        healthy: str | None = None,
        unhealthy: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        group = self.target_groups.get(arn)
        if group is None:
            raise TargetGroupNotFoundError()
        names = LIMITS.keys()
        given = dict(zip(names, (interval, timeout, healthy, unhealthy), strict=True))
        _check_health_check(group, {name: value for name, value in given.items() if value is not None})
        return modify(self, arn, proto, port, path, interval, timeout, healthy, unhealthy, *args, **kwargs)

    def respond_modified(self: Any) -> ActionResult:
        result = respond(self)
        grpc = (self._get_param("Matcher") or {}).get("GrpcCode")
        if grpc is not None:
            self.elbv2_backend.target_groups[self._get_param("TargetGroupArn")].matcher = {"GrpcCode": grpc}
        return result

    replace(ELBv2Backend, create_target_group=create_target_group, modify_target_group=modify_target_group)
    replace(ELBV2Response, modify_target_group=respond_modified)


def _check_health_check(group: Any, changes: Mapping[str, Any]) -> None:
    if group.target_type == "lambda":
        return
    values = {name: int(changes.get(name, getattr(group, name))) for name in LIMITS}
    for name, (low, high, words) in LIMITS.items():
        if not low <= values[name] <= high:
            raise ValidationError(f"Health check {words} '{values[name]}' must be between '{low}' and '{high}'")
    timeout, interval = values["health_check_timeout_seconds"], values["health_check_interval_seconds"]
    if timeout > interval or (timeout == interval and group.protocol in {"HTTP", "HTTPS"}):
        raise ValidationError(f"Health check timeout '{timeout}' must be smaller than the interval '{interval}'")
