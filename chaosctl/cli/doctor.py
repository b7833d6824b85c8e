"""chaosctl doctor."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from chaosctl.cli import compose, place
from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.errors import ChaosctlError, ExitStatus
from chaosctl.findings import Level
from chaosctl.stages.doctor import Diagnosed, Health, examine
from chaosctl.stages.examinations import Case, of_error
from chaosctl.stages.stage import Context
from chaosctl.ui.render import Report, Table


@command
def doctor(
    session: Session,
    strict: Annotated[bool, typer.Option("--strict", help="Exit status 3 for warnings and the unknown too.")] = False,
    context: place.Context = None,
    namespace: place.Namespace = None,
    selector: place.Selector = None,
) -> Report:
    """Look for everything that could stop a run: credentials, quotas, versions, locks, leftovers, this machine.

    Changes nothing and takes less than ten seconds. Exit status 3 when something makes `up` impossible.
    """
    session.point(context, namespace, selector)
    existing, refusal = _open(session)
    checks = existing.target.checks if existing else compose.own_checks(session.settings)
    health = examine(Case(session.settings, existing, datetime.now(UTC).date()), checks)
    if refusal:
        health = Health((Diagnosed("target", of_error(refusal, Level.PROBLEM)), *health.findings), health.seconds)
    return _report(health, strict=strict)


def _open(session: Session) -> tuple[Context | None, ChaosctlError | None]:
    """The context when the target can be opened, else why not: that is a finding here."""
    try:
        return session.existing_context(), None
    except ChaosctlError as error:
        return None, error


def _report(health: Health, *, strict: bool) -> Report:
    counts = {level.value: len(health.at(level)) for level in Level}
    bad = counts["problem"] or (strict and counts["warning"] + counts["unknown"])
    data = {
        "findings": [{"check": d.check, **vars(d.finding)} for d in health.findings],
        "counts": counts,
        "seconds": round(health.seconds, 2),
    }
    rows = [(d.check, d.finding.level.value, d.finding.what, d.finding.remedy) for d in health.findings]
    said = ", ".join(f"{count} {level}" for level, count in counts.items() if count)
    return Report(
        data,
        (Table(("check", "", "found", "what to do"), rows), f"{said} ({health.seconds:.1f} s)"),
        ExitStatus.PRECONDITION if bad else ExitStatus.OK,
    )
