"""chaosctl status."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chaosctl.cli import place
from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.errors import ExitStatus
from chaosctl.queries.status import Status, look
from chaosctl.report import runs as journals
from chaosctl.report.runs import Run
from chaosctl.stages.stage import Context
from chaosctl.ui.render import Pages, Report, Table

if TYPE_CHECKING:
    from chaosctl.queries.drift import Difference


@command
def status(
    session: Session,
    drift: Annotated[bool, typer.Option("--drift", help="Look for what was changed by somebody else too.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option("--every", min=1, metavar="SECONDS", help="Between two looks.")] = 5.0,
    context: place.Context = None,
    namespace: place.Namespace = None,
    selector: place.Selector = None,
) -> Report | Pages:
    """The page to open first: what exists, in which state, what users get, which alarms fire, what it costs.

    Looks only, and works whatever is there: what does not answer is named, and the rest is shown. With --json --watch
    each line of output is one look. With --drift the exit status is 9 when something is no longer as `up` left it.
    """
    session.point(context, namespace, selector)
    if watch:
        return Pages(_repeated(lambda: _page(session, drift=drift), every))
    return _page(session, drift=drift)


def _repeated(once: Callable[[], Report], every: float) -> Iterator[Report]:
    while True:
        yield once()
        time.sleep(every)


def _page(session: Session, *, drift: bool) -> Report:
    existing = session.existing_context()
    if existing is None:
        nothing = {"target": session.settings.target, "environment": session.settings.environment, "cluster": None}
        return Report(nothing, ("No lab is running: nothing is deployed. `chaosctl up` starts one.",))
    with session.lock() if drift else nullcontext():
        differences = _differences(existing) if drift else None
        seen = look(existing)
    return _report(existing, seen, journals.latest(journals.directory_of(existing.workdir)), differences)


def _differences(context: Context) -> list[Difference]:
    from chaosctl.queries import drift  # with Terraform and Helm: a third of what this command imports

    return drift.look(context)


def _report(context: Context, seen: Status, run: Run | None, differences: list[Difference] | None) -> Report:
    data, blocks = _data(seen, run), _blocks(seen, run, free=bool(context.target.stand_ins))
    if differences is None:
        return Report(data, tuple(blocks))
    return Report(
        {**data, "drift": differences},
        (*blocks, _drift(differences)),
        ExitStatus.DIFFERENT if differences else ExitStatus.OK,
    )


def _drift(differences: list[Difference]) -> str | Table:
    if not differences:
        return "Nothing differs from what `chaosctl up` left."
    rows = [(d.where, d.object, d.what, d.remedy) for d in differences]
    return Table(("drift", "object", "what differs", "what to do"), rows)


def _data(seen: Status, run: Run | None) -> dict[str, Any]:
    stages = [{"stage": name, "state": state, "seen": what} for name, state, what in seen.stages]
    return {**vars(seen), "stages": stages, "healthy": seen.healthy, "troubles": seen.troubles, "last_chaos": run}


def _blocks(seen: Status, run: Run | None, *, free: bool) -> list[str | Table]:
    about = f"Target {seen.target}, environment {seen.environment}, region {seen.region}, chaosctl {seen.chaosctl}"
    blocks: list[str | Table] = [_verdict(seen), about + _address(seen)]
    blocks += [table for table in _tables(seen) if table.rows]
    remarks = [_upgrade(seen), _alarms(seen), _certificates(seen), _chaos(seen, run), _spent(seen, free=free)]
    blocks.append("\n".join(filter(None, remarks)))
    if seen.problems:
        blocks.append("Could not be asked:\n" + "\n".join(f"  {p}" for p in seen.problems))
    return blocks


def _upgrade(seen: Status) -> str:
    return f"Of the app, {seen.rolled_back}" if seen.rolled_back else ""


def _verdict(seen: Status) -> str:
    """The first line: what somebody who was woken up wants to know."""
    if seen.troubles:
        return "TROUBLE: " + "\n         ".join(seen.troubles)
    if seen.problems:
        return "UNKNOWN: not everything could be asked; what could be asked is as it should be"
    if not seen.deployed:
        return "Nothing is deployed."
    return "OK: everything is there and as it should be"


def _address(seen: Status) -> str:
    lines = []
    if seen.cluster:
        lines.append(f"Cluster {seen.cluster.name}: {seen.cluster.status}, {seen.cluster.version}")
    if seen.url:
        lines.append(f"Your app: {seen.url}" + (f" (load balancer {seen.balancer.state})" if seen.balancer else ""))
    return "".join(f"\n{line}" for line in lines)


def _tables(seen: Status) -> list[Table]:
    ready = {True: "ready", False: "not ready"}
    return [
        Table(("stage", "state", "seen"), seen.stages if seen.deployed else ()),
        Table(
            ("alarm", "state", "since", "why"),
            [
                (a.short, a.state, f"{a.since:%Y-%m-%d %H:%M:%S UTC}" if a.since else "", a.reason)
                for a in seen.alarms
                if a.state != "OK"
            ],
        ),
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


def _alarms(seen: Status) -> str:
    states = Counter(a.state for a in seen.alarms)
    said = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return f"Alarms: {said or 'none defined'}" if seen.deployed and seen.target != "context" else ""


def _certificates(seen: Status) -> str:
    if not seen.balancer:
        return ""
    lines = [
        f"{c.domain}, {c.status}" + (f", until {c.not_after:%Y-%m-%d}" if c.not_after else "")
        for c in seen.certificates
    ]
    return "Certificate: " + ("; ".join(lines) or "none, plain HTTP")


def _chaos(seen: Status, run: Run | None) -> str:
    """Journals are where chaos ran; what a colleague's machine did is not known here."""
    if run is None:
        return "Last chaos: none on this machine" if seen.deployed else ""
    return f"Last chaos: {run.outcome}, {run.fault}, {run.began} ({run.name})"


def _spent(seen: Status, *, free: bool) -> str:
    if seen.spent is None:
        return ""
    where = "would have been on AWS" if free else "by the table of prices, without traffic and logs"
    spent = seen.spent
    return f"Cost so far: ${spent.dollars:.2f} in {spent.hours:.1f} h, ${spent.a_month:.0f} a month ({where})"
