"""`doctor`: everything that could stop a run, looked at before it does. All looks happen at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from chaosctl.errors import ChaosctlError, PreconditionFailed
from chaosctl.events import Warned
from chaosctl.findings import Check, Finding, Level, unknown
from chaosctl.stages import examinations as look
from chaosctl.stages.examinations import Case, of_error
from chaosctl.stages.inquiry import Outcome, ask
from chaosctl.stages.stage import Context, StageResult

DEADLINE = 9.0  # seconds for all looks together


@dataclass(frozen=True)
class Examination:
    """One look. `needs` is what must be there for it to make sense."""

    name: str
    look: Callable[[Case], Iterable[Finding]]
    needs: Literal["nothing", "deploying", "aws"] = "aws"


EXAMINATIONS: tuple[Examination, ...] = (
    Examination("credentials", look.credentials),
    Examination("account", look.account),
    Examination("administrators", look.administrators),
    Examination("region", look.region),
    Examination("quotas", look.quotas),
    Examination("tools", look.tools, needs="deploying"),
    Examination("EKS support", look.support, needs="deploying"),
    Examination("EKS support, running", look.live_support),
    Examination("TLS", look.tls),
    Examination("Terraform lock", look.state_lock),
    Examination("Helm releases", look.releases),
    Examination("leftovers", look.leftovers),
)


@dataclass(frozen=True)
class Diagnosed:
    """A finding of one examination."""

    check: str
    finding: Finding


@dataclass(frozen=True)
class Health:
    """All findings, in the order of the list above, and how long it took."""

    findings: tuple[Diagnosed, ...]
    seconds: float

    def at(self, level: Level) -> list[Diagnosed]:
        """The findings of one level."""
        return [d for d in self.findings if d.finding.level is level]


def examine(case: Case, checks: Sequence[Check] = (), *, deadline: float = DEADLINE) -> Health:
    """Look at everything, and at what the target's own `checks` look at."""
    started = time.monotonic()
    given = {"nothing", *(["deploying"] if case.deploys else []), *(["aws"] if case.has_aws else [])}
    wanted = [e for e in EXAMINATIONS if e.needs in given] + [_of_target(c) for c in checks]
    looks = {e.name: partial(_findings, e, case) for e in wanted}
    outcomes = ask(looks, deadline)
    found = tuple(Diagnosed(name, finding) for name, each in outcomes.items() for finding in _told(each, deadline))
    return Health(_without_echoes(found), time.monotonic() - started)


def _of_target(check: Check) -> Examination:
    return Examination(check.name, lambda case: check.look(), "nothing")


def _findings(examination: Examination, case: Case) -> list[Finding]:
    try:
        return list(examination.look(case))
    except ChaosctlError as error:
        return [of_error(error)]


def _told(outcome: Outcome, deadline: float) -> list[Finding]:
    if outcome.late:
        return [unknown(f"no answer within {deadline:.0f} s", "run it again; check the network")]
    found: list[Finding] = outcome.answer
    return found


def _without_echoes(found: tuple[Diagnosed, ...]) -> tuple[Diagnosed, ...]:
    """Without what could not be found out for a reason that is a problem of its own: it is said once."""
    causes = {d.finding.origin for d in found if d.finding.level is Level.PROBLEM} - {""}
    return tuple(d for d in found if d.finding.level is Level.PROBLEM or d.finding.origin not in causes)


@dataclass(frozen=True)
class Doctor:
    """The first stage of `up`: stops it when it cannot work, before anything is changed."""

    name: str = "doctor"

    def describe(self) -> str:
        """What it is going to do."""
        return "look for what would stop it later"

    def run(self, context: Context) -> StageResult:
        """Raises PreconditionFailed (DOCTOR-FAILED) that names every problem; warnings are only said."""
        case = Case(context.settings, context, datetime.now(UTC).date())
        health = examine(case, context.target.checks)
        for found in health.at(Level.WARNING):
            context.emit(Warned(f"{found.check}: {found.finding.what}", found.finding.remedy))
        problems = health.at(Level.PROBLEM)
        if problems:
            raise PreconditionFailed(
                "this deployment cannot work",
                code="DOCTOR-FAILED",
                why="\n".join(f"{p.check}: {p.finding.what}" for p in problems),
                remedy="; ".join(dict.fromkeys(p.finding.remedy for p in problems)),
            )
        return StageResult(False, f"{len(health.findings)} looks, no problem")
