"""What `chaosctl chaos` shows: lines while it runs, a result at the end."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chaosctl.chaos import events as e
from chaosctl.chaos import plan as plans
from chaosctl.chaos.advisor import Advice
from chaosctl.chaos.experiment import Aim, Budgets, FaultPlan, Mode
from chaosctl.chaos.outage import StreamFigures
from chaosctl.chaos.recovery import Clocks
from chaosctl.chaos.result import Kill, Result
from chaosctl.events import Event, Step, Warned
from chaosctl.ui.render import Report, Table

_PHASES = {
    "gate": "gate: is it steady before anything is broken?",
    "inject": "inject: break it",
    "observe": "observe: what do users notice, and does it recover?",
    "verify": "verify: a last look, independent of the watch",
}
_CLOCKS = {"replacements": "replacements ready", "targets": "targets healthy", "traffic": "traffic clean"}


def narrated(event: Event) -> Event:
    """What the display shows in place of an event of a run; other events as they are."""
    line = _LINES.get(type(event))
    return line(event) if line else event


_LINES: dict[type[Event], Callable[[Any], Event]] = {
    e.PhaseStarted: lambda x: Step(_PHASES[x.phase]),
    e.Steady: lambda x: Step(f"steady: {x.ready} pods are ready, traffic is clean"),
    e.NotSteady: lambda x: Warned(f"not steady {x.why}"),
    e.Injected: lambda x: Step(f"killed {x.name} ({x.uid})"),
    e.NotInjected: lambda x: Warned(f"not killed: {x.name}: {x.why}"),
    e.Drifted: lambda x: Warned(f"refused: {x.why}"),
    e.BudgetBreached: lambda x: Warned(f"nothing more is injected: {x.why}"),
    e.Interrupted: lambda x: Warned(f"interrupted in the phase {x.phase}", "seeing the recovery through"),
    e.TrafficLost: lambda x: Warned(f"the prober was lost: {x.why}"),
    e.WatchBroken: lambda x: Warned(f"the watch broke: {x.why}"),
    e.WatchRestored: lambda _: Step("the watch is back"),
    e.TargetsUnknown: lambda x: Warned(f"targets cannot be asked for: {x.why}"),
}


def planned(plan: FaultPlan) -> Report:
    """The answer to --dry-run. Its JSON is a plan file."""
    rows = [(v.name, v.uid, v.node, v.owner) for v in plan.victims]
    return Report(
        {"plan": plans.to_plain(plan)},
        (
            Table(("victim", "UID", "node", "replaced by"), rows),
            f"{len(plan.victims)} of {plan.ready} ready pods in {plan.place.namespace}, {plan.mode.value}, "
            f"seed {plan.seed}. Nothing was changed.",
        ),
    )


def undone(lines: Sequence[str]) -> Report:
    """The answer to --undo."""
    text = "\n".join(lines) if lines else "No earlier run left anything behind."
    return Report({"undone": list(lines)}, (text,))


def concluded(result: Result, journal: Path, again: str, advice: Sequence[Advice] = ()) -> Report:
    """The result of a run; `again` is the command that repeats it, `advice` says why requests failed."""
    data = {**result.plain(), "advice": [_advised(a) for a in advice], "repeat": again, "journal": str(journal)}
    blocks: list[str | Table] = [_verdict(result)]
    if result.streams:
        blocks += [_traffic(result), _recovery(result.clocks, result.experiment.budgets)]
    if result.kills and result.verdict.name not in ("NOT_STEADY", "REFUSED"):
        blocks.append(_killed(result.kills))
    if advice:
        blocks.append(_advice(advice))
    blocks.append(_foot(result, journal, again))
    return Report(data, tuple(blocks), result.verdict.status)


def _verdict(result: Result) -> str:
    lines = [f"{result.verdict.value}: {result.verdict.words}"]
    lines += [f"  - {reason}" for reason in result.reasons]
    lines += [f"  note: {note}" for note in result.notes]
    return "\n".join(lines)


def _traffic(result: Result) -> Table:
    budgets = result.experiment.budgets
    columns = ("connections", "requests", "success", "downtime", "longest outage", "outages", "p50", "p99")
    rows = [_stream(s) for s in result.streams]
    allowed = (f"{budgets.success_percent:g} %", f"{budgets.downtime_seconds:g} s")
    rows.append(("allowed", "", f">= {allowed[0]}", f"<= {allowed[1]}", "", "", "", ""))
    return Table(columns, rows, f"What users noticed at {result.experiment.traffic.url}")


def _stream(s: StreamFigures) -> tuple[str, ...]:
    latency = (f"{s.latency.p50:.1f} ms", f"{s.latency.p99:.1f} ms") if s.latency else ("", "")
    bound = f" (failures < {s.bound_percent:.2f} %)" if s.bound_percent is not None else ""
    success = f"{s.success_percent:.3f} %{bound}"
    outages = str(len(s.outages)) if s.outages else f"none over {1000 * s.visible:.0f} ms"
    return (
        s.stream,
        str(s.totals.scheduled),
        success,
        f"{s.downtime:.3f} s",
        f"{s.longest:.3f} s",
        outages,
        *latency,
    )


def _recovery(clocks: Clocks, budgets: Budgets) -> Table:
    rows = []
    for name, seconds in asdict(clocks).items():
        shown = "not measured" if seconds is None else f"{seconds:.2f} s"
        rows.append((_CLOCKS[name], shown, f"<= {budgets.recovery_seconds:g} s"))
    return Table(("recovery clock", "after the fault", "allowed"), rows, "Recovery, from the acknowledged kill")


def _killed(kills: Sequence[Kill]) -> Table:
    rows = [
        (
            k.name,
            k.uid,
            "gone" if k.gone else "still there" if k.acknowledged is not None else "not killed",
            k.replacement,
            k.replacement_uid,
        )
        for k in kills
    ]
    return Table(("victim", "UID", "", "replacement", "UID"), rows)


def _advised(advice: Advice) -> dict[str, Any]:
    return {**asdict(advice), "cause": advice.cause.name, "title": advice.title}


def _advice(advice: Sequence[Advice]) -> str:
    lines = ["Why requests failed"]
    for a in advice:
        lines += [f"  - {a.requests} ({a.outcomes}): {a.title}", f"    {a.because}"]
        lines += [f"    smallest safe setting: {a.setting}"] if a.setting else []
    return "\n".join(lines)


def _foot(result: Result, journal: Path, again: str) -> str:
    tester = result.tester
    lines = [f"Seed {result.experiment.aim.seed}; the same choice among the same pods: {again}"]
    if tester is not None:
        cpu = f", {tester.cpu_percent:.1f} % of a core" if tester.cpu_percent is not None else ""
        lines.append(
            f"Prober: {tester.lag_p99:.1f} ms late (99th percentile){cpu}; "
            f"{tester.control_failures} of {tester.control_requests} control requests failed"
        )
    return "\n".join([*lines, f"Journal: {journal}"])


def repeat(aim: Aim, words: Sequence[str]) -> str:
    """The command line that chooses and kills in the same way.

    `words` are those given after `chaosctl chaos`. A plan names pods that are dead now, so its choice is spelt out.
    """
    if any(word.startswith("--plan") for word in words):
        words = ["--kill-pods", "--count", str(aim.count), *_flags(aim), *_without_plan(words)]
    seed = [] if any(word.startswith("--seed") for word in words) else ["--seed", str(aim.seed)]
    return shlex.join(["chaosctl", "chaos", *words, *seed])


def _without_plan(words: Sequence[str]) -> list[str]:
    """The words beside those that the plan decides, which are spelt out."""
    kept = [w for w, before in zip(words, ["", *words], strict=False) if before != "--plan"]
    spelt_out = ("--plan", "--kill-pods", "--force", "--evict", "--yes-really", "--ignore-pdb")
    return [w for w in kept if not w.startswith(spelt_out)]


def _flags(aim: Aim) -> list[str]:
    flags = {
        "--force": aim.mode is Mode.FORCED,
        "--evict": aim.mode is Mode.EVICT,
        "--yes-really": aim.consent,
        "--ignore-pdb": aim.ignore_pdb,
    }
    return [flag for flag, given in flags.items() if given]
