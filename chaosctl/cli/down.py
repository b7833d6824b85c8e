"""chaosctl down."""

from __future__ import annotations

from chaosctl.cli import compose
from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.stages import destroy
from chaosctl.ui.render import Report


@command
def down(session: Session) -> Report:
    """Remove everything, and prove that nothing is left. Exit status 6 and a list when something is.

    Running it twice is fine. Only the target aws is asked about first, unless --yes is given.
    """
    session.require_ours()
    settings = session.settings
    if settings.target == "aws":
        session.confirm(
            "Remove it?",
            consequence=f"all of the environment {settings.environment} ({settings.cluster_name}) will be deleted",
        )
    with session.lock():
        context = session.existing_context(heal=True)
        if context is None:
            removed = compose.remove_remains(settings, session.emit)
            nothing = "No lab is running: there is nothing to remove."
            said = "No lab is running; what an earlier one had left is removed." if removed else nothing
            return Report({"left": [], "changed": removed}, (said,))
        result = destroy.run(context)
    return Report({"left": [], "changed": result.changed}, (f"{result.summary.capitalize()}.",))
