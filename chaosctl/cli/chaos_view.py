"""What `chaosctl chaos` shows: lines while it runs, a result at the end."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chaosctl.chaos import events as e
from chaosctl.chaos import outage
from chaosctl.chaos import plan as plans
from chaosctl.chaos.advisor import Advice
from chaosctl.chaos.campaign import Outcome, worst
from chaosctl.chaos.drill import Drilled
from chaosctl.chaos.experiment import Aim, Experiment, FaultPlan, Mode
from chaosctl.chaos.faults.fault import Fault
from chaosctl.chaos.outage import Span, StreamFigures
from chaosctl.chaos.recovery import Clocks
from chaosctl.chaos.requests import NEW
from chaosctl.chaos.result import Kill, Result
from chaosctl.chaos.scenario import Scenario, Step
from chaosctl.events import Event, Warned
from chaosctl.events import Step as Said
from chaosctl.ui.render import Report, Table

_PHASES = {
    "gate": "gate: is it steady before anything is broken?",
    "inject": "inject: break it",
    "observe": "observe: what do users notice, and does it recover?",
    "recover": "recover: it is undone, does all come back?",
    "verify": "verify: a last look, independent of the watch",
}
_CLOCKS = {"replacements": "replacements ready", "targets": "targets healthy", "traffic": "traffic clean"}


def narrated(event: Event) -> Event:
    """What the display shows in place of an event of a run; other events as they are."""
    line = _LINES.get(type(event))
    return line(event) if line else event


_LINES: dict[type[Event], Callable[[Any], Event]] = {
    e.PhaseStarted: lambda x: Said(_PHASES[x.phase]),
    e.Steady: lambda x: Said(f"steady: {x.ready} pods are ready, traffic is clean"),
    e.NotSteady: lambda x: Warned(f"not steady {x.why}"),
    e.Injected: lambda x: Said(f"hit {x.name} ({x.uid})"),
    e.NotInjected: lambda x: Warned(f"not hit: {x.name}: {x.why}"),
    e.Proved: lambda x: Said(f"{x.name}: {x.evidence}"),
    e.Lifted: lambda x: x if x.what.startswith("nothing") else Said(f"undone: {x.what}"),
    e.NotLifted: lambda x: Warned(f"not undone: {x.why}"),
    e.Drifted: lambda x: Warned(f"refused: {x.why}"),
    e.BudgetBreached: lambda x: Warned(f"nothing more is injected: {x.why}"),
    e.Interrupted: lambda x: Warned(f"interrupted in the phase {x.phase}", "seeing the recovery through"),
    e.TrafficLost: lambda x: Warned(f"the prober was lost: {x.why}"),
    e.WatchBroken: lambda x: Warned(f"the watch broke: {x.why}"),
    e.WatchRestored: lambda _: Said("the watch is back"),
    e.AlarmSeen: lambda x: Said(f"alarm {x.name}: {x.state}"),
    e.TargetsUnknown: lambda x: Warned(f"targets cannot be asked for: {x.why}"),
}


def planned(plan: FaultPlan) -> Report:
    """The answer to --dry-run. Its JSON is a plan file."""
    rows = [(v.name, v.uid, v.node, v.owner) for v in plan.victims]
    return Report(
        {"plan": plans.to_plain(plan)},
        (
            Table(("victim", "UID", "node", "replaced by"), rows),
            f"{plan.fault}: {_amount(plan)}, seed {plan.seed}. Nothing was changed.",
        ),
    )


def _amount(plan: FaultPlan) -> str:
    pods = sum(v.kind == "Pod" and not v.namespace for v in plan.victims)
    others = ", ".join(f"{v.kind} {v.name}" for v in plan.victims if v.kind != "Pod" or v.namespace)
    text = f"{pods} of {plan.ready} ready pods in {plan.place.namespace}, {plan.mode.value}"
    return f"{others}; {text}" if others else text


def all_planned(found: Sequence[FaultPlan], titles: Sequence[str]) -> Report:
    """The answer to --dry-run for one step or several."""
    if len(found) == 1:
        return planned(found[0])
    rows = [(str(n + 1), titles[n], v.kind, v.name, v.uid) for n, plan in enumerate(found) for v in plan.victims]
    return Report(
        {"plan": plans.all_to_plain(found)},
        (
            Table(("step", "", "kind", "victim", "UID"), rows),
            "As of now: what an earlier step replaces is chosen again, by the same seed. Nothing was changed.",
        ),
    )


def listed(
    faults: Mapping[str, Fault], reasons: Mapping[str, str], known: Mapping[str, Scenario], *, reachable: bool
) -> Report:
    """The faults and scenarios that there are; `reasons` says why a fault cannot be done here."""
    rows = [(n, f.about, f.needs, f.undoes, _here(reasons.get(n, ""), reachable)) for n, f in faults.items()]
    data = [
        {"fault": n, "about": about, "needs": needs, "undo": undo, "here": reachable and not reasons.get(n)}
        | {"reason": reasons.get(n, "")}
        for n, about, needs, undo, _ in rows
    ]
    told = [(n, s.about, ", ".join(step.title for step in s.steps)) for n, s in known.items()]
    return Report(
        {"faults": data, "scenarios": [{"name": n, "about": about, "steps": steps} for n, about, steps in told]},
        (
            Table(("fault", "what it does", "needs", "undo", "here"), rows),
            Table(("scenario", "about", "steps"), told, "Shipped scenarios, for `chaosctl chaos run`"),
        ),
    )


def _here(reason: str, reachable: bool) -> str:
    return (f"no: {reason}" if reason else "yes") if reachable else "no cluster to ask"


def all_concluded(
    outcomes: Sequence[Outcome], steps: Sequence[Step], directory: Path, advice: Mapping[int, Sequence[Advice]]
) -> Report:
    """The result of a scenario: the worst verdict, a table with a row for each step, and advice by step (from 0)."""
    verdict = worst(outcomes)
    rows = [_outcome(number, outcome) for number, outcome in enumerate(outcomes, 1)]
    rows += [
        (str(n), steps[n - 1].title, "not reached", "", "", "", "", "", "")
        for n in range(len(outcomes) + 1, len(steps) + 1)
    ]
    columns = ("step", "", "verdict", "success", "downtime", "p99", *_CLOCKS.values())
    wrong = [f"  - step {n}, {o.step.title}: {why}" for n, o in enumerate(outcomes, 1) for why in _whys(o)]
    data = {
        "verdict": verdict.value,
        "meaning": verdict.words,
        "exit_status": int(verdict.status),
        "steps": [_plain_outcome(o, advice.get(n, ())) for n, o in enumerate(outcomes)],
        "not_reached": [step.title for step in steps[len(outcomes) :]],
        "journal": str(directory),
    }
    head = f"{verdict.value}: the worst of {len(outcomes)} steps. {verdict.words[0].upper()}{verdict.words[1:]}."
    return Report(
        data,
        (
            "\n".join([head, *wrong]),
            Table(columns, rows),
            *_lasting(outcomes),
            *(f"Step {n + 1}, {steps[n].title}. {_advice(found)}" for n, found in advice.items() if found),
            f"Journals: {directory}; `chaosctl chaos runs` lists them by step",
        ),
        verdict.status,
    )


def _lasting(outcomes: Sequence[Outcome]) -> Iterator[Table]:
    """How long answers took before, during and after the faults that last, a row for each; nothing when none does."""
    rows = [
        (str(number), outcome.step.title, *(" / ".join(_times(s)) for s in outcome.result.spans if s.stream == NEW))
        for number, outcome in enumerate(outcomes, 1)
        if outcome.result and outcome.result.spans
    ]
    if rows:
        columns = ("step", "", "before", "during", "after")
        yield Table(columns, rows, "Faults that last: p50 / p99 of answers on new connections")


def _whys(outcome: Outcome) -> list[str]:
    return list(outcome.result.reasons) if outcome.result else [str(outcome.refusal)]


def _outcome(number: int, outcome: Outcome) -> tuple[str, ...]:
    result = outcome.result
    if result is None:
        return (str(number), outcome.step.title, outcome.verdict.value, "", "", "", "", "", "")
    success = min((s.success_percent for s in result.streams), default=None)
    downtime = max((s.downtime for s in result.streams), default=None)
    slowest = outage.slowest(result.streams)
    users = (_known(success, "{:.2f} %"), _known(downtime, "{:.2f} s"), _known(slowest, "{:.0f} ms"))
    clocks = (_known(seconds, "{:.1f} s") for seconds in asdict(result.clocks).values())
    return (str(number), outcome.step.title, outcome.verdict.value, *users, *clocks)


def _known(figure: float | None, shown: str) -> str:
    return "" if figure is None else shown.format(figure)


def _plain_outcome(outcome: Outcome, advice: Sequence[Advice]) -> dict[str, Any]:
    if outcome.result is None:
        return {"step": outcome.step.title, "verdict": outcome.verdict.value, "reasons": _whys(outcome)}
    return {"step": outcome.step.title, **outcome.result.plain(), "advice": [_advised(a) for a in advice]}


def undone(lines: Sequence[str]) -> Report:
    """The answer to --undo."""
    text = "\n".join(lines) if lines else "No earlier run left anything behind."
    return Report({"undone": list(lines)}, (text,))


def concluded(result: Result, journal: Path, again: str, advice: Sequence[Advice] = ()) -> Report:
    """The result of a run; `again` is the command that repeats it, `advice` says why requests failed."""
    data = {**result.plain(), "advice": [_advised(a) for a in advice], "repeat": again, "journal": str(journal)}
    blocks: list[str | Table] = [_verdict(result)]
    if result.streams:
        blocks += [_traffic(result), *_spans(result.spans), _recovery(result.clocks, result.experiment)]
    if result.alarms:
        blocks.append(_alarms(result.alarms))
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
    success, downtime = f">= {budgets.success_percent:g} %", f"<= {budgets.downtime_seconds:g} s"
    rows.append(("allowed", "", success, downtime, "", "", "", f"<= {1000 * budgets.latency_seconds:g} ms"))
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


def _spans(spans: Sequence[Span]) -> Iterator[Table]:
    """How long answers took before, during and after a fault that lasts; nothing for one that does not."""
    if not spans:
        return
    rows = [(s.stream, s.when, str(s.requests), str(s.requests - s.ok), *_times(s)) for s in spans]
    yield Table(("connections", "the fault", "requests", "failed", "p50", "p99"), rows, "Before, during and after it")


def _times(span: Span) -> tuple[str, str]:
    """p50 and p99 in words; empty without a good request."""
    return (f"{span.latency.p50:.1f} ms", f"{span.latency.p99:.1f} ms") if span.latency else ("", "")


def _recovery(clocks: Clocks, experiment: Experiment) -> Table:
    rows, budgets, start = [], experiment.budgets, experiment.plan.recovers_from
    for name, seconds in asdict(clocks).items():
        shown = "not measured" if seconds is None else f"{seconds:.2f} s"
        rows.append((_CLOCKS[name], shown, f"<= {budgets.of_clock(name):g} s"))
    return Table(("recovery clock", f"after the {start}", "allowed"), rows, f"Recovery, from the acknowledged {start}")


def _alarms(alarms: Sequence[Drilled]) -> Table:
    shown = [(_after(a.went_off, "never"), _after(a.was_over, "not seen")) for a in alarms]
    rows = [(alarm.name, *seconds) for alarm, seconds in zip(alarms, shown, strict=True)]
    return Table(("expected alarm", "went off after the fault", "over after its end"), rows)


def _after(seconds: float | None, never: str) -> str:
    return never if seconds is None else f"{seconds:.0f} s"


def _killed(kills: Sequence[Kill]) -> Table:
    rows = [
        (
            k.name,
            k.uid,
            k.evidence if k.gone else "nothing shows it" if k.acknowledged is not None else "not hit",
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
            f"{tester.control_failures} of {tester.control_requests} control requests failed, "
            f"{tester.remote_failures} of {tester.remote_requests} to a place beside the service"
        )
    return "\n".join([*lines, f"Journal: {journal}"])


def repeat(aim: Aim, words: Sequence[str], number: int = 0) -> str:
    """The command line that chooses and kills in the same way.

    `words` are those given after `chaosctl chaos`. A plan names pods that are dead now, so its choice is spelt out.
    Of a scenario all is repeated: its step `number` (from 0) chose by the scenario's seed and this number together.
    """
    if words and words[0] == "run":
        return shlex.join(["chaosctl", "chaos", *_without(words, "--plan", "--seed"), "--seed", str(aim.seed - number)])
    if any(word.startswith("--plan") for word in words):
        words = [*_what(aim), "--count", str(aim.count), *_flags(aim), *_without_plan(words)]
    seed = [] if any(word.startswith("--seed") for word in words) else ["--seed", str(aim.seed)]
    return shlex.join(["chaosctl", "chaos", *words, *seed])


def _what(aim: Aim) -> list[str]:
    if aim.fault == "pod-kill":
        return ["--kill-pods"]
    return [
        "--fault",
        aim.fault,
        *(word for key, value in aim.options.items() for word in ("--with", f"{key}={value}")),
    ]


def _without_plan(words: Sequence[str]) -> list[str]:
    """The words beside those that the plan decides, which are spelt out."""
    spelt_out = ("--kill-pods", "--force", "--evict", "--yes-really", "--ignore-pdb")
    return [w for w in _without(words, "--plan") if not w.startswith(spelt_out)]


def _without(words: Sequence[str], *options: str) -> list[str]:
    """The words without these options and their values."""
    kept = [w for w, before in zip(words, ["", *words], strict=False) if before not in options]
    return [w for w in kept if w.partition("=")[0] not in options]


def _flags(aim: Aim) -> list[str]:
    flags = {
        "--force": aim.mode is Mode.FORCED,
        "--evict": aim.mode is Mode.EVICT,
        "--yes-really": aim.consent,
        "--ignore-pdb": aim.ignore_pdb,
    }
    return [flag for flag, given in flags.items() if given]
