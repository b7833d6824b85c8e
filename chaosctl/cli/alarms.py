"""chaosctl alarms."""

from __future__ import annotations

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.stages.alarms import Alarms
from chaosctl.ui.render import Report


@command
def alarms(session: Session) -> Report:
    """Watch the app with alarms and a dashboard; whoever is to be told is in [infra] of the settings."""
    return session.run_stage(Alarms())
