"""From facts to one verdict. Pure. The order of the questions is the order of precedence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from chaosctl.errors import ExitStatus


class Verdict(Enum):
    """What a run says in the end, and the exit status that goes with it."""

    PASS = "PASS"  # noqa: S105, not a password
    SLO_BREACHED = "SLO BREACHED"
    NOT_RECOVERED = "NOT RECOVERED"
    NOT_STEADY = "NOT STEADY"
    NO_EFFECT = "NO EFFECT"
    REFUSED = "REFUSED"
    ABORTED = "ABORTED"
    INVALID = "INVALID"
    ALARM_SILENT = "ALARM SILENT"

    @property
    def status(self) -> ExitStatus:
        """The exit status of the program."""
        return ExitStatus.OK if self is Verdict.PASS else ExitStatus[self.name]

    @property
    def words(self) -> str:
        """What it means, one sentence."""
        return _WORDS[self]


_WORDS = {
    Verdict.PASS: "the fault happened, users stayed within the budget, and everything recovered",
    Verdict.SLO_BREACHED: "the fault happened and everything recovered, but users noticed more than the budget allows",
    Verdict.NOT_RECOVERED: "the service has not recovered, or what was done to it could not be put back",
    Verdict.NOT_STEADY: "the service was not healthy before the fault, so nothing was done to it",
    Verdict.NO_EFFECT: "the fault was asked for, but nothing shows that it happened",
    Verdict.REFUSED: "a guard rail forbade it, nothing was done",
    Verdict.ABORTED: "the run was interrupted",
    Verdict.ALARM_SILENT: "the fault happened and everything recovered, but an expected alarm did not tell it",
    Verdict.INVALID: "the measurement cannot be trusted, it is neither a pass nor a failure",
}


@dataclass(frozen=True)
class Facts:
    """What a run established. Each text says what is wrong; empty means nothing is.

    refused      by which guard rail, right before the injection
    interrupted  in which phase
    unsteady     what the gate was waiting for
    planned      victims that were to be hit
    gone         victims that show it: the UID exists no more, the restart count has risen, the state changed
    stopped      injection ended early because a budget was breached already
    invalid      why the measurement cannot be trusted
    not_undone   why what was done could not be put back: whatever else happened, or did not
    unrecovered  what has not recovered
    breaches     budgets that were exceeded
    silent       alarms that did not go off, or were not over again
    """

    refused: str = ""
    interrupted: str = ""
    unsteady: str = ""
    planned: int = 0
    gone: int = 0
    stopped: bool = False
    invalid: tuple[str, ...] = ()
    not_undone: str = ""
    unrecovered: tuple[str, ...] = ()
    breaches: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


def judge(facts: Facts) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict, and its reasons (with everything else that is wrong). PASS only if every victim is gone."""
    undone = (f"the fault could not be undone: {facts.not_undone}",) if facts.not_undone else ()
    partly = () if facts.stopped or facts.gone in (0, facts.planned) else (_partly(facts),)
    questions: tuple[tuple[Verdict, tuple[str, ...]], ...] = (
        (Verdict.REFUSED, () if facts.not_undone else _text(facts.refused)),
        (Verdict.ABORTED, (*_text(facts.interrupted), *undone) if facts.interrupted else ()),
        (Verdict.NOT_RECOVERED, undone),
        (Verdict.NOT_STEADY, _text(facts.unsteady)),
        (Verdict.INVALID, facts.invalid),
        (
            Verdict.NO_EFFECT,
            () if facts.gone else ("nothing shows that it happened: no UID, restart count or state changed",),
        ),
        (Verdict.NOT_RECOVERED, facts.unrecovered),
        (Verdict.ALARM_SILENT, facts.silent),
        (Verdict.SLO_BREACHED, facts.breaches),
        (Verdict.INVALID, (*partly, *_for_nothing(facts))),
    )
    wrong = [(verdict, reasons) for verdict, reasons in questions if reasons]
    if not wrong:
        return Verdict.PASS, ()
    verdict = wrong[0][0]
    if verdict in (Verdict.REFUSED, Verdict.NOT_STEADY, Verdict.ABORTED):
        return verdict, wrong[0][1]  # nothing was done, or not to its end, so the rest means nothing
    return verdict, tuple(reason for _, reasons in wrong for reason in reasons)


def _text(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


def _for_nothing(facts: Facts) -> tuple[str, ...]:
    """What was in flight seemed lost, and was answered after all."""
    if not facts.stopped or facts.breaches or facts.unrecovered:
        return ()
    return ("the fault was cut short for a budget that was kept in the end: it was not the planned one",)


def _partly(facts: Facts) -> str:
    return f"only {facts.gone} of {facts.planned} victims show it: the fault was not the planned one"
