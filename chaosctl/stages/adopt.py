"""After a Terraform that was killed: what it made and did not write down is taken over instead of made again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chaosctl.adapters import existing
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.inventory import Deployment
from chaosctl.adapters.terraform import Terraform
from chaosctl.adapters.terraform_messages import PlannedChange
from chaosctl.events import Emit, Step
from chaosctl.waiting import wait_until

STEADY_SECONDS = 1800.0  # EKS needs a quarter of an hour for a cluster
POLL_SECONDS = 1.0


def adoptable(planned: Iterable[PlannedChange], found: Mapping[str, str]) -> dict[str, str]:
    """Ids by address of what a plan would create although it exists."""
    created = {change.address for change in planned if change.action == "create"}
    return {address: found[address] for address in sorted(created & found.keys())}


def orphans(
    terraform: Terraform, aws: Aws, deployment: Deployment, variables: Mapping[str, Any], emit: Emit
) -> dict[str, str]:
    """What the next apply is to import: ids by address. Nothing, and no questions, after a run that ended by itself."""
    if terraform.settled:
        return {}
    terraform.recover()
    if not existing.found(aws, deployment):
        return {}
    emit(Step("an earlier run did not end by itself: looking for what it made and did not write down"))
    wait_until(
        lambda: (not (busy := existing.changing(aws, deployment)), busy),
        "the end of what the earlier run has begun",
        timeout=STEADY_SECONDS,
        interval=POLL_SECONDS,
        emit=emit,
    )
    planned = terraform.plan(variables).changes
    imports = adoptable(planned, existing.found(aws, deployment))
    if imports:
        emit(Step(f"taking over {len(imports)} things that an earlier run made and did not write down"))
        # The state may hold, at the same address, what that run replaced: gone, but in the way of an import.
        terraform.forget(imports)
    return imports
