"""chaosctl up: everything, from nothing to the first answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.events import StandInUsed
from chaosctl.stages import pipeline, running
from chaosctl.stages.kubeconfig import entry_name
from chaosctl.stages.stage import Context, StageResult
from chaosctl.ui.render import Report, Table


@command
def up(
    session: Session,
    switch: Annotated[bool, typer.Option("--switch", help="Make it kubectl's current context.")] = False,
) -> Report:
    """Deploy everything: infra, kubeconfig, controller, app, alarms, smoke.

    Can be run again at any time: each stage does only what is missing, and it stops at the first that fails.
    """
    session.require_ours()
    with session.lock():
        context = session.context(start=True)
        session.consent(context)
        for stand_in in context.target.stand_ins:
            session.emit(StandInUsed(stand_in.what, stand_in.real))
        results = running.run(pipeline.stages(context, switch=switch), context)
    return _report(session, context, results)


def _report(session: Session, context: Context, results: Mapping[str, StageResult]) -> Report:
    url = results["app"].details["url"]
    data = {
        "url": url,
        "stages": {
            name: {"changed": r.changed, "summary": r.summary, "seconds": r.seconds, **r.details}
            for name, r in results.items()
        },
        "stand_ins": [{"what": s.what, "real": s.real} for s in context.target.stand_ins],
        "context": entry_name(context),
    }
    rows = [(name, "changed" if r.changed else "as it was", r.summary) for name, r in results.items()]
    blocks: list[str | Table] = [Table(("stage", "", "result"), rows), f"Your app: {url}{_how_secure(context, url)}"]
    if context.target.stand_ins:
        names = "\n".join(f"  {s.what}, in place of {s.real}" for s in context.target.stand_ins)
        blocks.append(f"Stand-ins that serve here:\n{names}")
    return Report(data, (*blocks, _how_to_go_on(session, context, url)))


def _how_secure(context: Context, url: str) -> str:
    """What has to be known of its certificate, or that there is none."""
    if not url.startswith("https://"):
        return "\nPlain HTTP: [tls] names neither a domain nor a certificate (docs/tls.md)."
    if context.target.ca_file is None:
        return ""
    return f"\nIts certificate is not a public one: clients have to trust {context.target.ca_file}"


def _how_to_go_on(session: Session, context: Context, url: str) -> str:
    options = session.repeated_options
    trust = f"--cacert {context.target.ca_file} " if context.target.ca_file and url.startswith("https://") else ""
    lines = {
        f'curl {trust}"$(chaosctl url{options})/probe/data"': "what users get",
        f"chaosctl chaos --kill-pods{options}": "break it under traffic, and see whether users notice",
        f"kubectl --context {entry_name(context)} get pods": "look inside",
        f"chaosctl status{options}": "what exists, in which state",
        f"chaosctl down{options}": "remove everything",
    }
    width = max(map(len, lines))
    return "How to go on:\n" + "\n".join(f"  {line:<{width}}  {why}" for line, why in lines.items())
