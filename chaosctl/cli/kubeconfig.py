"""chaosctl kubeconfig."""

from __future__ import annotations

from typing import Annotated

import typer

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.stages.kubeconfig import Kubeconfig
from chaosctl.ui.render import Report


@command
def kubeconfig(
    session: Session,
    switch: Annotated[bool, typer.Option("--switch", help="Make it kubectl's current context.")] = False,
) -> Report:
    """Let kubectl in, with an entry in the kubeconfig. Other entries and the current context stay as they are."""
    return session.run_stage(Kubeconfig(switch))
