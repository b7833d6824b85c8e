"""chaosctl version."""

from __future__ import annotations

import platform

from chaosctl import __version__
from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.ui.render import Report


@command
def version(session: Session) -> Report:
    """Print the version."""
    data = {"chaosctl": __version__, "python": platform.python_version()}
    return Report(data, (f"chaosctl {__version__} (Python {platform.python_version()})",))
