"""Corrections of moto 5.2.5, by service. Each says the symptom that it cures; tests fail without it."""

from __future__ import annotations

from chaosctl.lab.aws.corrections import (
    acm,
    autoscaling,
    budgets,
    cloudwatch,
    dependencies,
    ec2,
    eks,
    elbv2,
    iam,
    network_interfaces,
    operations,
    s3,
    ssm,
)

ALL = (
    acm,
    eks,
    ec2,
    network_interfaces,
    dependencies,
    autoscaling,
    iam,
    operations,
    s3,
    ssm,
    cloudwatch,
    budgets,
    elbv2,
)


def apply() -> None:
    """Apply all of them. Must run before the first request; a second call changes nothing."""
    if getattr(apply, "done", False):
        return
    for module in ALL:
        module.apply()
    apply.done = True  # type: ignore[attr-defined]
