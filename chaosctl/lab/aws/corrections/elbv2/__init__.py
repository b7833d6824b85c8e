"""What moto 5.2.5's elbv2 gets wrong or lacks, put right. Each correction says which symptom it removes.

State that moto does not have is kept as plain attributes on its objects, so that it is pickled with them.
"""

from __future__ import annotations

from moto.elbv2.models import ELBv2Backend

from chaosctl.lab.aws.corrections.elbv2 import (
    actions,
    attributes,
    balancers,
    interfaces,
    listeners,
    rules,
    targets,
    validation,
)

ALL = (targets, balancers, interfaces, listeners, rules, attributes, validation, actions)


def apply() -> None:
    """Correct moto's classes; applying twice does no harm."""
    if getattr(ELBv2Backend, "chaosctl_corrected", False):
        return
    for module in ALL:
        module.apply()
    ELBv2Backend.chaosctl_corrected = True
