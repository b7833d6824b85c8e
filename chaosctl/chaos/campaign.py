"""Several steps one after the other: each is gated, injected, observed and judged by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from chaosctl.chaos.experiment import Aim, FaultPlan
from chaosctl.chaos.result import Result
from chaosctl.chaos.scenario import Step
from chaosctl.chaos.verdict import Verdict
from chaosctl.errors import Refused

# From what says nothing about the service to what says the worst: a scenario is as good as its worst step.
WORSE = (
    Verdict.PASS,
    Verdict.NO_EFFECT,
    Verdict.REFUSED,
    Verdict.INVALID,
    Verdict.NOT_STEADY,
    Verdict.SLO_BREACHED,
    Verdict.ALARM_SILENT,
    Verdict.NOT_RECOVERED,
    Verdict.ABORTED,
)
ENDS = {Verdict.ABORTED, Verdict.NOT_RECOVERED, Verdict.NOT_STEADY}  # no further step could be judged after these


@dataclass(frozen=True)
class Outcome:
    """How one step ended. `result` is None when no plan could be made; `refusal` says why then."""

    step: Step
    result: Result | None
    refusal: Refused | None = None

    @property
    def verdict(self) -> Verdict:
        """That of the result."""
        return self.result.verdict if self.result else Verdict.REFUSED


def run(
    steps: Iterable[Step], planned: Callable[[int, Step, frozenset[str]], FaultPlan], act: Callable[..., Result]
) -> list[Outcome]:
    """Carry the steps out in order, until one ends the scenario.

    planned  makes the plan of a step when it is its turn; it is told the UIDs that earlier steps made disappear
    act      takes number, step and plan
    """
    outcomes: list[Outcome] = []
    replaced: set[str] = set()
    for number, step in enumerate(steps):
        try:
            plan = planned(number, step, frozenset(replaced))
        except Refused as refusal:
            outcomes.append(Outcome(step, None, refusal))
            continue
        result = act(number, replace(step, aim=aim_of(plan, step.aim)), plan)
        outcomes.append(Outcome(step, result))
        replaced |= {kill.uid for kill in result.kills if kill.acknowledged is not None}
        if result.verdict in ENDS:
            break
    return outcomes


def aim_of(plan: FaultPlan, aim: Aim) -> Aim:
    """The aim that the plan fulfils: who and how is the plan's business, consent that of whoever runs it."""
    return replace(
        aim,
        fault=plan.fault,
        seed=plan.seed,
        mode=plan.mode,
        options=plan.options,
        count=max(1, sum(victim.kind == "Pod" for victim in plan.victims)),
        percent=None,
        parts=tuple(aim_of(part, aim) for part in plan.parts),
    )


def worst(outcomes: Iterable[Outcome]) -> Verdict:
    """The verdict of the whole."""
    return max((outcome.verdict for outcome in outcomes), key=WORSE.index, default=Verdict.PASS)
