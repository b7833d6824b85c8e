"""chaosctl cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.queries import costs
from chaosctl.queries.costs import Item, Prices
from chaosctl.queries.setups import Bill, TradeOff, Usage, priced, setups, trade_offs
from chaosctl.ui.render import Report, Table

USED = Usage()
NOT_COUNTED = (
    "Estimated: what Container Insights observes, from the number of nodes and pods (--observations says it better, 0 "
    "that it is off). Not counted: requests to KMS and S3 (cents), taxes, support, discounts."
)


@command
def cost(
    session: Session,
    logs_gb: Annotated[float, typer.Option("--logs-gb", min=0, help="Logs written in a month.")] = USED.logs_gb,
    nat_gb: Annotated[float, typer.Option("--nat-gb", min=0, help="Sent by nodes to the internet.")] = USED.nat_gb,
    users_gb: Annotated[float, typer.Option("--users-gb", min=0, help="Answers to users.")] = USED.users_gb,
    observations: Annotated[
        float | None, typer.Option("--observations", min=0, help="Millions by Container Insights; else estimated.")
    ] = None,
) -> Report:
    """What a deployment costs a month on AWS: small and highly available, by component, and what the money buys.

    Asks nobody: prices are from the table that ships with chaosctl, or from the file that the setting `prices` names.
    """
    prices = costs.load(session.settings.prices)
    usage = Usage(logs_gb, nat_gb, users_gb, observations=observations)
    bills = [priced(setup, usage, prices) for setup in setups(session.settings.infra)]
    return report(bills, usage, prices)


def report(bills: Sequence[Bill], usage: Usage, prices: Prices) -> Report:
    """The bills side by side, and what the money buys."""
    trades = trade_offs(prices)
    prose = f"Prices of {prices.region}, collected {prices.collected}. {NOT_COUNTED}"
    return Report(_data(bills, usage, prices, trades), (_components(bills), _trades(trades), prose))


def _components(bills: Sequence[Bill]) -> Table:
    rows = [*_rows([b.fixed for b in bills]), _total("stands there", [b.fixed for b in bills])]
    rows += [*_rows([b.used for b in bills]), _total("total", [(*b.fixed, *b.used) for b in bills])]
    return Table(("USD a month", "each", *(b.setup.name for b in bills)), rows)


def _rows(sides: Sequence[Sequence[Item]]) -> list[tuple[str, ...]]:
    """A row for each component that one of the set-ups has."""
    tables = [{item.what: item for item in side} for side in sides]
    rows = []
    for what in dict.fromkeys(item.what for side in sides for item in side if item.count):
        items = [table.get(what) for table in tables]
        each = next(item.each for item in items if item)
        cells = [f"{item.count:g}: {item.total:.2f}" if item and item.count else "" for item in items]
        rows.append((what, "unknown" if each is None else f"{each:.3f}", *cells))
    return rows


def _total(name: str, sides: Sequence[Sequence[Item]]) -> tuple[str, ...]:
    return (name, "", *(f"{costs.total(side):.2f}" for side in sides))


def _trades(trades: Sequence[TradeOff]) -> str:
    return "\n".join(f"${t.dollars:.2f}: {t.choice}.\n  {t.buys}." for t in trades)


def _data(bills: Sequence[Bill], usage: Usage, prices: Prices, trades: Sequence[TradeOff]) -> dict[str, Any]:
    return {
        "currency": "USD",
        "period": "month",
        "setups": [
            {
                "name": b.setup.name,
                "total": costs.total([*b.fixed, *b.used]),
                "fixed": list(b.fixed),
                "used": list(b.used),
                "infra": b.setup.infra.model_dump(mode="json"),
            }
            for b in bills
        ],
        "usage": usage,
        "trade_offs": list(trades),
        "prices": {"region": prices.region, "collected": str(prices.collected), "source": prices.source},
    }
