"""chaosctl tools."""

from __future__ import annotations

from chaosctl import places
from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.toolbox import Toolbox
from chaosctl.ui.render import Report, Table


@command
def tools(session: Session) -> Report:
    """Where each program that is needed comes from. Fetches nothing."""
    lines = Toolbox(places.cache_dir(), session.settings.toolbox, session.emit).report()
    rows = [(line.tool, line.version, line.origin, str(line.path or "")) for line in lines]
    return Report({"tools": list(lines)}, (Table(("tool", "version", "from", "path"), rows),))
