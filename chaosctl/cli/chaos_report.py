"""chaosctl chaos report, chaosctl chaos runs: earlier runs, from their journals alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from chaosctl.cli import chaos_view as view
from chaosctl.cli import compose
from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.report import runs as journals
from chaosctl.report.runs import Told
from chaosctl.ui.render import Report, Table

HtmlFile = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write one self-contained page.")]
JunitFile = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.")]
PrometheusFile = Annotated[
    Path | None, typer.Option("--prometheus", metavar="FILE", help="Write metrics in the text format of Prometheus.")
]


@dataclass(frozen=True)
class Files:
    """Which reports are wanted, and where."""

    html: Path | None = None
    junit: Path | None = None
    prometheus: Path | None = None

    def of_step(self, name: str) -> Files:
        """The same for one step of several: its name becomes a part of the files' names."""
        return Files(
            *(f and f.with_name(f"{f.stem}-{name}{f.suffix}") for f in (self.html, self.junit, self.prometheus))
        )

    def write(self, told: Told) -> list[Path]:
        """Write those; each is imported only when it is wanted."""
        written = []
        if self.html is not None:
            from chaosctl.report.html import page

            written.append(journals.write(self.html, page(told.result, told.line, told.advice)))
        if self.junit is not None:
            from chaosctl.report.junit import junit

            written.append(journals.write(self.junit, junit(told.result, told.line)))
        if self.prometheus is not None:
            from chaosctl.report.prometheus import prometheus

            written.append(journals.write(self.prometheus, prometheus(told.result, told.line)))
        return written

    def write_not_run(self, step: str, why: str) -> list[Path]:
        """That a step of a scenario has no run, where a missing file would be taken for nothing wrong."""
        if self.junit is None:
            return []
        from chaosctl.report.junit import not_run

        return [journals.write(self.junit, not_run(step, why, datetime.now(UTC)))]


@command
def report(
    session: Session,
    run: Annotated[
        str | None, typer.Argument(help="A name from `chaosctl chaos runs`, or a journal; the newest without it.")
    ] = None,
    html: HtmlFile = None,
    junit: JunitFile = None,
    prometheus: PrometheusFile = None,
) -> Report:
    """Tell what an earlier run came to, from its journal alone, and write reports about it.

    The exit status is 0 whatever the verdict of that run was.
    """
    told = journals.read(journals.find(_directory(session), run))
    written = Files(html, junit, prometheus).write(told)
    return with_files(view.concluded(told.result, told.journal, told.line.repeat, told.advice), written, keep=False)


@command
def runs(session: Session) -> Report:
    """List earlier runs of this environment with their verdicts, the newest first."""
    found = journals.runs(_directory(session))
    rows = [(run.name, run.began, run.fault, run.outcome) for run in found]
    text: str | Table = Table(("run", "began", "fault", "verdict"), rows) if rows else "There has been no run yet."
    return Report({"runs": [asdict(run) for run in found]}, (text,))


def with_files(report: Report, written: list[Path], *, keep: bool) -> Report:
    """The report with the files that were written; it keeps the verdict's exit status or is fine."""
    data: Mapping[str, object] = {**report.data, "reports": [str(path) for path in written]}
    lines = tuple(f"Written: {path}" for path in written)
    blocks = (*report.blocks, "\n".join(lines)) if lines else report.blocks
    return Report(data, blocks, report.status) if keep else Report(data, blocks)


def _directory(session: Session) -> Path:
    return journals.directory_of(compose.environment_dir(session.settings))
