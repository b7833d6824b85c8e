"""chaosctl status."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated, Any

import typer

from chaosctl.cli import place
from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.errors import ExitStatus
from chaosctl.stages import drift as drifts
from chaosctl.stages.drift import Difference
from chaosctl.stages.status import Status, look
from chaosctl.ui.render import Report, Table


@command
def status(
    session: Session,
    drift: Annotated[bool, typer.Option("--drift", help="Look for what was changed by somebody else too.")] = False,
    context: place.Context = None,
    namespace: place.Namespace = None,
    selector: place.Selector = None,
) -> Report:
    """What exists, in which state, where. Looks only, and works whatever is there.

    With --drift the exit status is 2 when something is no longer as `up` left it.
    """
    session.point(context, namespace, selector)
    existing = session.existing_context()
    if existing is None:
        nothing = {"target": session.settings.target, "environment": session.settings.environment, "cluster": None}
        return Report(nothing, ("No lab is running: nothing is deployed. `chaosctl up` starts one.",))
    with session.lock() if drift else nullcontext():
        differences = drifts.look(existing) if drift else None
        seen = look(existing)
    if differences is None:
        return Report(_data(seen), tuple(_blocks(seen)))
    return Report(
        {**_data(seen), "drift": differences},
        (*_blocks(seen), _drift(differences)),
        ExitStatus.DIFFERENT if differences else ExitStatus.OK,
    )


def _drift(differences: list[Difference]) -> str | Table:
    if not differences:
        return "Nothing differs from what `chaosctl up` left."
    rows = [(d.where, d.object, d.what, d.remedy) for d in differences]
    return Table(("drift", "object", "what differs", "what to do"), rows)


def _data(seen: Status) -> dict[str, Any]:
    return {**vars(seen), "healthy": seen.healthy}


def _blocks(seen: Status) -> list[str | Table]:
    blocks: list[str | Table] = [f"Target {seen.target}, environment {seen.environment}, region {seen.region}"]
    if seen.cluster is None and seen.target != "context":
        blocks.append("There is no cluster.")
    if seen.cluster:
        blocks.append(
            f"Cluster {seen.cluster.name}: {seen.cluster.status}, {seen.cluster.version}, {seen.cluster.endpoint}"
        )
    blocks += [table for table in _tables(seen) if table.rows]
    if seen.url:
        blocks.append(f"Your app: {seen.url}" + (f" (load balancer {seen.balancer.state})" if seen.balancer else ""))
    if seen.problems:
        blocks.append("Could not be asked:\n" + "\n".join(f"  {p}" for p in seen.problems))
    return blocks


def _tables(seen: Status) -> list[Table]:
    ready = {True: "ready", False: "not ready"}
    return [
        Table(("node", "zone", "state", "version"), [(n.name, n.zone, ready[n.ready], n.version) for n in seen.nodes]),
        Table(
            ("deployment", "ready", ""),
            [(f"{w.namespace}/{w.name}", f"{w.ready} of {w.wanted}", w.lacks) for w in seen.workloads],
        ),
        Table(
            ("pod", "node", "state", "restarts", ""),
            [(p.name, p.node, ready[p.ready], str(p.restarts), p.trouble) for p in seen.pods],
        ),
        Table(
            ("target", "state", "reason"),
            [(f"{t.id}:{t.port}", t.state, f"{t.reason} {t.description}".strip()) for t in seen.targets],
        ),
        Table(("left in AWS", "id", ""), [(item.kind, item.id, item.why) for item in seen.remains]),
    ]
