"""chaosctl smoke."""

from __future__ import annotations

from typing import Annotated

import typer

from chaosctl.cli import place
from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.config import SmokeSettings
from chaosctl.errors import ExitStatus
from chaosctl.stages.smoke import Security, SmokeResult, app_url, as_data, measure
from chaosctl.ui.render import Report, Table


@command
def smoke(
    session: Session,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Check this place instead of the app.")
    ] = None,
    requests: Annotated[int | None, typer.Option("--requests", min=50, max=10_000, help="How many to time.")] = None,
    limit_ms: Annotated[float | None, typer.Option("--limit-ms", min=0.001, help="Limit of the p95.")] = None,
    context: place.Context = None,
    namespace: place.Namespace = None,
) -> Report:
    """Is it serving, correctly and quickly enough? Exit status 8 when it is not."""
    session.point(context, namespace)
    given = {"requests": requests, "limit_ms": limit_ms}
    settings = session.settings.smoke.model_copy(update={k: v for k, v in given.items() if v is not None})
    opened = None if url else session.context()
    where, trust = (app_url(opened), opened.target.ca_file) if opened else (url or "", None)
    return _report(measure(where, SmokeSettings(**settings.model_dump()), session.emit, ca_file=trust))


def _secured(found: Security) -> str:
    shown = found.certificate
    parts = (
        f"{shown.version}, certificate for {', '.join(shown.names)} until {shown.not_after:%Y-%m-%d} ({shown.issuer})",
        f"HSTS {found.hsts}" if found.hsts else "no HSTS",
        f"HTTP is {found.plain}" if found.plain else "",
    )
    return "; ".join(filter(None, parts))


def _report(result: SmokeResult) -> Report:
    routes = [
        (r.path, str(r.status), f"{r.connect_ms:.1f}", f"{r.total_ms:.1f}", r.problem or "right") for r in result.routes
    ]
    latency = result.latency
    times = (f"{latency.p50_ms:.1f}", f"{latency.p95_ms:.1f}", f"{latency.p99_ms:.1f}", f"{latency.limit_ms:.0f} (p95)")
    stand_in = "\nThe lab's stand-in answered, not the real backend." if result.stand_in else ""
    verdict = "passed" if not result.problems else "failed:\n" + "\n".join(f"  {p}" for p in result.problems)
    return Report(
        as_data(result),
        (
            Table(("route", "status", "connect ms", "total ms", ""), routes),
            Table(
                ("requests", "failed", "p50 ms", "p95 ms", "p99 ms", "limit ms"),
                [(str(latency.requests), str(latency.failed), *times)],
            ),
            *([_secured(result.security)] if result.security else []),
            f"{result.url}: {verdict}{stand_in}",
        ),
        ExitStatus.CHECK_FAILED if result.problems else ExitStatus.OK,
    )
