"""chaosctl schema."""

from __future__ import annotations

from typing import Annotated

import typer

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.errors import UsageProblem
from chaosctl.ui.render import Raw


@command
def schema(
    session: Session,
    of: Annotated[
        str | None, typer.Argument(metavar="COMMAND", help="Of one command, such as up or 'chaos run'.")
    ] = None,
) -> Raw:
    """Print the JSON schema (draft 2020-12) of what --json prints, results and errors, of one command or of all."""
    from chaosctl.cli import results

    if of is not None and of not in results.RESULTS:
        raise UsageProblem(
            f"there is no schema of {of!r}",
            code="SCHEMA-UNKNOWN",
            why=f"there are those of {', '.join(results.RESULTS)}",
            remedy="name one of these, in quotes when it is two words",
        )
    return Raw(results.schema([of] if of else list(results.RESULTS)))
