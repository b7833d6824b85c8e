"""chaosctl app."""

from __future__ import annotations

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.stages.app import App
from chaosctl.ui.render import Report


@command
def app(session: Session) -> Report:
    """Install the app, until every pod is ready and every target of the load balancer is healthy."""
    return session.run_stage(App())
