"""chaosctl down."""

from __future__ import annotations

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.stages import destroy
from chaosctl.ui.render import Report


@command
def down(session: Session) -> Report:
    """Remove everything, and prove that nothing is left. Exit status 6 and a list when something is.

    Running it twice is fine. Only the target aws is asked about first, unless --yes is given.
    """
    settings = session.settings
    if settings.target == "aws":
        session.confirm(
            "Remove it?",
            consequence=f"all of the environment {settings.environment} ({settings.cluster_name}) will be deleted",
        )
    with session.lock():
        context = session.existing_context()
        if context is None:
            return Report({"left": []}, ("No lab is running: there is nothing to remove.",))
        result = destroy.run(context)
    return Report({"left": [], "changed": result.changed}, (f"{result.summary.capitalize()}.",))
