"""chaosctl logs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.events import Warned
from chaosctl.queries import logs as query
from chaosctl.queries.logs import Cluster, Found, Line, Source, Wanted
from chaosctl.stages.access import Access
from chaosctl.ui.render import Lines, Report
from chaosctl.waiting import heartbeat


@command
def logs(
    session: Session,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option("--since", metavar="SPAN", help="How far back: 90s, 10m, 1h30m, 2d.")] = "10m",
    pod: Annotated[str, typer.Option("--pod", metavar="NAME", help="Only pods whose names begin so.")] = "",
    grep: Annotated[
        str | None, typer.Option("--grep", metavar="REGEX", help="Only lines in which this is found.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The last lines only.")] = 1000,
    namespace: Annotated[
        str | None, typer.Option("--namespace", metavar="NAME", help="Another namespace than the app's.")
    ] = None,
) -> Report | Lines:
    """What the app's containers wrote, those that are gone too: from CloudWatch Logs.

    Where CloudWatch has nothing, from the cluster itself, and says so. With --follow and --json each line is one JSON
    object.
    """
    wanted = Wanted(namespace or session.settings.namespace, pod, query.expression(grep) if grep else None)
    start = query.since(since)
    source, why = query.source_for(session.context())
    if why:
        session.emit(Warned(f"these are the cluster's own logs: {why}"))
    if follow:
        following = query.follow(source, wanted, start, limit, session.emit)
        return Lines((asdict(line), _text(line)) for line in following)
    with heartbeat("the log lines", session.emit):
        found = query.read(source, wanted, start, limit)
        if not found.lines and not why:
            source, found, why = _instead(session, source, wanted, start, limit)
    data = {"source": source.name, "fallback": why, "earlier": found.earlier, "repeated": found.repeated}
    lines = "\n".join(map(_text, found.lines)) or f"No such line in the last {since}."
    return Report({**data, "lines": [asdict(line) for line in found.lines]}, (*_remarks(found), lines))


def _instead(session: Session, cloudwatch: Source, wanted: Wanted, start: int, limit: int) -> tuple[Source, Found, str]:
    """What the cluster has when CloudWatch has nothing: if that is something, lines do not get to CloudWatch."""
    cluster = Cluster(Access(session.context()).kube)
    found = query.read(cluster, wanted, start, limit)
    if not found.lines:
        return cloudwatch, found, ""
    why = "CloudWatch has no such line, the cluster has: the add-on amazon-cloudwatch-observability does not ship them"
    session.emit(Warned(f"these are the cluster's own logs: {why}", "see docs/logs.md"))
    return cluster, found, why


def _remarks(found: Found) -> list[str]:
    remarks = []
    if found.earlier:
        remarks.append(f"The last {len(found.lines)} lines; {found.earlier} earlier ones with a larger --limit.")
    if found.repeated:
        remarks.append(f"{found.repeated} lines were sent twice, and are shown once.")
    return remarks


def _text(line: Line) -> str:
    """One line for people: the name of a container only where that of its pod does not say it."""
    whose = line.pod if line.pod.startswith(line.container) else f"{line.pod}/{line.container}"
    return f"{query.rfc3339(line.milliseconds)} {whose} {line.text}"
