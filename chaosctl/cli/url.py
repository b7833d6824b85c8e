"""chaosctl url."""

from __future__ import annotations

from chaosctl.cli import place
from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.stages.smoke import app_url
from chaosctl.ui.render import Report


@command
def url(session: Session, context: place.Context = None, namespace: place.Namespace = None) -> Report:
    """Where the app is: prints its URL, and nothing else."""
    session.point(context, namespace)
    found = app_url(session.context())
    return Report({"url": found}, (found,))
