"""chaosctl controller."""

from __future__ import annotations

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.stages.controller import Controller
from chaosctl.ui.render import Report


@command
def controller(session: Session) -> Report:
    """Install the AWS Load Balancer Controller, until its webhook answers."""
    return session.run_stage(Controller())
