"""chaosctl url."""

from __future__ import annotations

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.stages.smoke import app_url
from chaosctl.ui.render import Report


@command
def url(session: Session) -> Report:
    """Where the app is: prints its URL, and nothing else."""
    found = app_url(session.context())
    return Report({"url": found}, (found,))
