"""chaosctl infra."""

from __future__ import annotations

from typing import Annotated

import typer

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.errors import UsageProblem
from chaosctl.stages import locks
from chaosctl.stages.infra import Infra
from chaosctl.stages.reach import Reach
from chaosctl.ui.render import Report


@command
def infra(
    session: Session,
    only_access: Annotated[
        bool, typer.Option("--only-access", help="Only let this machine reach the API of a cluster that is there.")
    ] = False,
    unlock: Annotated[
        str | None,
        typer.Option("--unlock", metavar="ID", help="Only remove this Terraform lock, whose run died elsewhere."),
    ] = None,
) -> Report:
    """Make network, cluster, nodes and identities with Terraform. The lab is started when it is the target.

    With --only-access nothing is made: infra.public_access_cidrs, or the address that this machine is seen from, is
    added to those that reach the Kubernetes API. With --unlock nothing is made either: see who holds the lock first.
    """
    if only_access and unlock:
        raise UsageProblem("--only-access and --unlock exclude each other", code="USAGE", remedy="leave one out")
    if unlock:
        return _unlock(session, unlock)
    return session.run_stage(Reach()) if only_access else session.run_stage(Infra(), start=True)


def _unlock(session: Session, identifier: str) -> Report:
    session.require_ours()
    with session.lock():
        context = session.context()
        found = locks.find(context, identifier)
        session.confirm(
            "Remove the lock?",
            consequence=f"{found.state} is locked by {found.info}; were that still at work, two would write one state",
        )
        locks.remove(context, identifier)
    summary = f"the lock {identifier} on {found.state} is removed"
    data = {"stage": "infra", "changed": True, "summary": summary, "unlocked": identifier}
    return Report(data, (f"infra: {summary}; it was held by {found.info}",))
