"""chaosctl top."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from chaosctl.adapters.cloudwatch import Alarm
from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.queries.watching import Figure, Sight, Watching
from chaosctl.ui.render import Report, Table
from chaosctl.ui.screen import show

EVERY = 5.0  # seconds between two looks; there is something new once a minute
BARS = " ▁▂▃▄▅▆▇█"


@command
def top(
    session: Session,
    once: Annotated[bool, typer.Option("--once", help="Look once instead of again and again.")] = False,
) -> Report | None:
    """How the app is doing by its metrics in CloudWatch, and its alarms: the last full minute and 15 before it.

    On a terminal it goes on until Ctrl-C; otherwise, and with --json, it looks once.
    """
    watching = Watching(session.context())
    if once or session.common.json or not sys.stdout.isatty():
        return report_of(watching.look())
    show(lambda: report_of(watching.look()), EVERY)
    return None


def report_of(sight: Sight) -> Report:
    """What one look has found."""
    rows = [(f.name, _shown(f), _bars(f.values)) for f in sight.figures]
    states = [(alarm.short, alarm.state, _since(alarm, sight), alarm.reason[:90]) for alarm in sight.alarms]
    data = {
        "until": sight.until.isoformat(),
        "figures": {f.name: {"unit": f.unit, "last": f.last, "values": f.values} for f in sight.figures},
        "alarms": {alarm.short: {"state": alarm.state, "reason": alarm.reason} for alarm in sight.alarms},
    }
    blocks: list[str | Table] = [Table((f"minute to {sight.until:%H:%M} UTC", "", "15 minutes"), rows)]
    if states:
        blocks.append(Table(("alarm", "state", "for", ""), states))
    return Report(data, tuple(blocks))


def _shown(figure: Figure) -> str:
    return "no data" if figure.last is None else f"{figure.last:.4g} {figure.unit}".strip()


def _bars(values: Sequence[float | None]) -> str:
    """A bar for each minute, from zero to the highest; a dot where there are no data."""
    highest = max((value for value in values if value is not None), default=0.0)
    return "".join(
        "·" if value is None else BARS[round(value / highest * (len(BARS) - 1))] if highest else BARS[0]
        for value in values
    )


def _since(alarm: Alarm, sight: Sight) -> str:
    return f"{max(0.0, (sight.until - alarm.since).total_seconds()) / 60:.0f} min" if alarm.since else ""
