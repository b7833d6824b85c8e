"""chaosctl plan."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.errors import ExitStatus
from chaosctl.events import Warned
from chaosctl.queries import costs
from chaosctl.queries.plan import Forecast, forecast
from chaosctl.ui.render import Report, Table


@command
def plan(
    session: Session,
    diff: Annotated[bool, typer.Option("--diff/--no-diff", help="Show how objects in the cluster change.")] = True,
) -> Report:
    """Show what `up` would change, in AWS and in the cluster, and the monthly cost before and after.

    Changes nothing of the deployment. Exit status 9 when something would change, 0 when not.
    """
    session.require_ours()
    with session.lock():
        context = session.existing_context()
        if context is None:
            session.emit(Warned("the lab's AWS is started to be asked, and stays", "`chaosctl down` removes it"))
            context = session.context(start=True)
        found = forecast(context)
    return _report(found, with_diff=diff, free=bool(context.target.stand_ins))


def _report(found: Forecast, *, with_diff: bool, free: bool) -> Report:
    status = ExitStatus.DIFFERENT if found.different else ExitStatus.OK
    blocks: list[str | Table] = [
        table for table in (_resources(found), _requests(found), _objects(found)) if table.rows
    ]
    blocks += [_diff(found)] if with_diff and _diff(found) else []
    return Report(_data(found), (*blocks, _costs(found), _prices(found, free=free), _summary(found)), status)


def _resources(found: Forecast) -> Table:
    rows = [(r.action, r.address, "\n".join(map(str, r.attributes[:5]))) for r in found.resources]
    return Table(("Terraform", "resource", "changes"), rows)


def _requests(found: Forecast) -> Table:
    return Table(("AWS", "changes"), [(r.object, r.what) for r in found.requests])


def _objects(found: Forecast) -> Table:
    changes = [(r, o) for r in found.releases for o in r.objects]
    return Table(("Helm", "object", "release"), [(o.action, f"{o.kind} {o.name}", r.name) for r, o in changes])


def _diff(found: Forecast) -> str:
    """Of what exists; new objects are only named."""
    changed = [(r, o) for r in found.releases for o in r.objects if o.diff and o.action in ("update", "restore")]
    return "\n".join(f"{o.kind} {o.name} ({r.name})\n" + "\n".join(o.diff) for r, o in changed)


def _costs(found: Forecast) -> Table:
    before, after = ({item.what: item for item in side} for side in (found.before, found.after))
    rows = []
    for what in dict.fromkeys([*before, *after]):
        sides = [before.get(what), after.get(what)]
        each = next(item.each for item in sides if item)
        counts = " -> ".join(f"{item.count:g}" if item else "0" for item in sides)
        money = [f"{item.total:.2f}" if item else "" for item in sides]
        rows.append((what, counts, "unknown" if each is None else f"{each:.2f}", *money))
    rows.append(("total", "", "", f"{costs.total(found.before):.2f}", f"{costs.total(found.after):.2f}"))
    return Table(("$ a month", "count", "each", "now", "then"), rows)


def _prices(found: Forecast, *, free: bool) -> str:
    prices = found.prices
    where = "That is what it costs on AWS; what stands in for AWS here costs nothing. " if free else ""
    table = f"collected {prices.collected}"
    told = f"as AWS tells them now ({', '.join(prices.live)}), the others {table}" if prices.live else table
    return f"{where}Prices of {prices.region}, {told}; not counted: {costs.NOT_COUNTED}."


def _summary(found: Forecast) -> str:
    if not found.different:
        return "`chaosctl up` would change nothing."
    actions = Counter(r.action for r in found.resources)
    resources = ", ".join(f"{count} to {action}" for action, count in actions.items()) or "no change"
    releases = ", ".join(f"{r.name}: {r.action}" for r in found.releases)
    requests = "".join(f"; {r.object}" for r in found.requests)
    return f"`chaosctl up` would change: Terraform {resources}{requests}; {releases}."


def _data(found: Forecast) -> dict[str, Any]:
    return {
        "different": found.different,
        "terraform": [
            {"address": r.address, "type": r.type, "action": r.action, "attributes": list(r.attributes)}
            for r in found.resources
        ],
        "aws": list(found.requests),
        "helm": list(found.releases),
        "cost": {
            "before": costs.total(found.before),
            "after": costs.total(found.after),
            "items_before": list(found.before),
            "items_after": list(found.after),
            "currency": "USD",
            "prices": {
                "region": found.prices.region,
                "collected": str(found.prices.collected),
                "live": list(found.prices.live),
            },
        },
    }
