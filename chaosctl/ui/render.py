"""Results and errors as people or machines read them. stdout carries these and nothing else."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from io import StringIO
from pathlib import Path
from typing import Any

from chaosctl.errors import ChaosctlError, ExitStatus

SCHEMA = 1  # version of the envelope; raised when a field changes its meaning or goes
PLAIN_WIDTH = 200  # columns of a table that does not go to a terminal


@dataclass(frozen=True)
class Table:
    """Rows under column titles; cells are printed as they are."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    title: str = ""


@dataclass(frozen=True)
class Report:
    """What a command has found out or done.

    data    for --json: plain data, dataclasses, paths and enums
    blocks  for people: paragraphs and tables, in order
    status  exit status; other than OK when the command did its work and the answer is bad
    """

    data: Mapping[str, Any]
    blocks: tuple[str | Table, ...] = ()
    status: ExitStatus = field(default=ExitStatus.OK)


@dataclass(frozen=True)
class Pages:
    """Reports that follow each other until somebody stops it; on a terminal each takes the place of the one before."""

    reports: Iterator[Report]


@dataclass(frozen=True)
class Lines:
    """Lines that come until somebody stops it, each as data for --json and as text for people."""

    lines: Iterator[tuple[Mapping[str, Any], str]]


@dataclass(frozen=True)
class Raw:
    """JSON in a format that somebody else has defined, printed as it is with or without --json."""

    data: Mapping[str, Any]


def envelope(command: str, *, result: Mapping[str, Any] | None = None, error: ChaosctlError | None = None) -> str:
    """One JSON object: schema, command, ok, and either `result` or `error`."""
    body: dict[str, Any] = {"schema": SCHEMA, "command": command, "ok": error is None}
    if error is None:
        body["result"] = result or {}
    else:
        body["error"] = {
            "code": error.code,
            "status": int(error.status),
            "what": error.what,
            "why": error.why,
            "remedy": error.remedy,
        }
    return json.dumps(body, default=_plain, indent=2)


def report_json(command: str, report: Report, *, indent: int | None = 2) -> str:
    """The envelope of a report; `ok` is False when its status is not OK. One line without `indent`."""
    body = json.loads(envelope(command, result=report.data))
    return json.dumps(body | {"ok": report.status == ExitStatus.OK}, indent=indent)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"a report cannot hold a {type(value).__name__}")


def report_text(report: Report, width: int | None = None) -> str:
    """The report for people; `width` is the terminal's, None when it is not one."""
    return "\n\n".join(_block(b, width) for b in report.blocks)


def _block(block: str | Table, width: int | None) -> str:
    if isinstance(block, str):
        return block
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(title=block.title or None, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in block.columns:
        table.add_column(column, overflow="fold")
    for row in block.rows:
        table.add_row(*(Text(cell) for cell in row))
    out = StringIO()
    Console(file=out, width=width or PLAIN_WIDTH, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def error_text(error: ChaosctlError) -> str:
    """What failed, why, and what to do, each on lines of its own."""
    lines = [f"Error: {error.what}  [{error.code}]"]
    lines += [f"  {line}" for line in error.why.splitlines()]
    if error.remedy:
        lines.append(f"What to do: {error.remedy}")
    return "\n".join(lines)
