"""chaosctl infra."""

from __future__ import annotations

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.stages.infra import Infra
from chaosctl.ui.render import Report


@command
def infra(session: Session) -> Report:
    """Make network, cluster, nodes and identities with Terraform. The lab is started when it is the target."""
    return session.run_stage(Infra(), start=True)
