"""One self-contained page about a run, from its journal alone: no network, no file beside it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from chaosctl.chaos.advisor import Advice
from chaosctl.chaos.result import Result
from chaosctl.chaos.timeline import Timeline
from chaosctl.report.chart import LEFT, RIGHT, WIDTH, Chart, draw
from chaosctl.report.page import Page

HATCH = (
    '<defs><pattern id="leaving" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="leaving-base" width="6" height="6"/><line class="leaving-line" y2="6"/></pattern></defs>'
)


def page(result: Result, line: Timeline, advice: Sequence[Advice]) -> str:
    """The page as text."""
    chart = draw(line, result.clocks, [o for s in result.streams for o in s.outages])
    script = _asset("report.js")
    made = Page(result, line, chart, advice)
    template = Environment(
        loader=PackageLoader("chaosctl.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("report.html.j2")
    return template.render(
        page=made,
        chart=chart.svg.replace(">", f">{HATCH}", 1),
        style=_asset("report.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        columns=_embedded({"left": LEFT, "step": _step(chart), "columns": made.columns}),
    )


def _step(chart: Chart) -> float:
    """Width of a column in the picture's units."""
    seconds = chart.end - chart.begin
    return (WIDTH - LEFT - RIGHT) / seconds * chart.width


def _embedded(data: dict[str, Any]) -> str:
    """JSON that cannot end the script element that it is in."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return (resources.files("chaosctl.report") / "templates" / name).read_text()
