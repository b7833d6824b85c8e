"""Several steps one after the other: each is gated, injected, observed and judged by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from chaosctl.chaos.experiment import Aim, FaultPlan
from chaosctl.chaos.result import Result
from chaosctl.chaos.scenario import Step
from chaosctl.chaos.verdict import Verdict
from chaosctl.errors import ChaosctlError, Refused

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
    """How one step ended. `result` is None when it could not be planned or begun; `refusal` says why then."""

    step: Step
    result: Result | None
    refusal: ChaosctlError | None = None

    @property
    def verdict(self) -> Verdict:
        """That of the result. What failed before anything was done says nothing, unless a guard rail forbade it."""
        if self.result:
            return self.result.verdict
        return Verdict.REFUSED if isinstance(self.refusal, Refused) else Verdict.INVALID


def run(
    steps: Iterable[Step],
    planned: Callable[[int, Step, frozenset[str]], FaultPlan],
    act: Callable[[int, Step, FaultPlan], Result],
) -> list[Outcome]:
    """Carry the steps out in order, until one ends the scenario.

    An error (the API does not answer) ends it too, but takes nothing away of what earlier steps came to; of the first
    step it is raised.

    planned  makes the plan of a step when it is its turn; it is told the UIDs that earlier steps made disappear
    act      takes number, step and plan
    """
    outcomes: list[Outcome] = []
    replaced: set[str] = set()
    for number, step in enumerate(steps):
        try:
            plan = planned(number, step, frozenset(replaced))
            result = act(number, replace(step, aim=aim_of(plan, step.aim)), plan)
        except Refused as refusal:
            outcomes.append(Outcome(step, None, refusal))
            continue
        except ChaosctlError as error:
            if not outcomes:
                raise
            outcomes.append(Outcome(step, None, error))
            break
        outcomes.append(Outcome(step, result))
        replaced |= {kill.uid for kill in result.kills if kill.acknowledged is not None}
        if result.verdict in ENDS:
            break
    return outcomes


def not_run(steps: Sequence[Step], outcomes: Sequence[Outcome]) -> dict[int, tuple[Step, str]]:
    """The steps without a run, by number, and why they have none."""
    found = {n: (o.step, f"{o.verdict.value}: {o.refusal}") for n, o in enumerate(outcomes) if o.result is None}
    over = f"not reached: step {len(outcomes)} ended the scenario"
    return found | {n: (steps[n], over) for n in range(len(outcomes), len(steps))}


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
