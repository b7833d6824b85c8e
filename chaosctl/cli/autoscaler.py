"""chaosctl autoscaler."""

from __future__ import annotations

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.stages.autoscaler import Autoscaler
from chaosctl.ui.render import Report


@command
def autoscaler(session: Session) -> Report:
    """Install the Cluster Autoscaler, if infra.node_autoscaling is on; else uninstall it."""
    return session.run_stage(Autoscaler())
