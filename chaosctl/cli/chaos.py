"""chaosctl chaos."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from chaosctl.chaos import scenario as scenarios
from chaosctl.chaos.experiment import Aim, Mode
from chaosctl.chaos.faults import SINGLE as FAULTS_TO_NAME
from chaosctl.chaos.scenario import Step
from chaosctl.cli import chaos_report, place
from chaosctl.cli import chaos_view as view
from chaosctl.cli.chaos_report import Files, HtmlFile, JunitFile, PrometheusFile
from chaosctl.cli.chaos_session import Chaos
from chaosctl.cli.command import CONTEXT, command
from chaosctl.cli.session import Session
from chaosctl.errors import UsageProblem
from chaosctl.ui.render import Report

# Options that a short form and a scenario have in common.
IgnorePdb = Annotated[bool, typer.Option("--ignore-pdb", help="Delete although a PodDisruptionBudget is violated.")]
TrafficUrl = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Send the traffic here instead of to the app's own.")
]

app = typer.Typer(context_settings=CONTEXT)


@command
def chaos(
    session: Session,
    kill_pods: Annotated[
        bool, typer.Option("--kill-pods", help="Kill pods of the app: one, unless told more. As --fault pod-kill.")
    ] = False,
    fault: Annotated[
        str | None, typer.Option("--fault", metavar="NAME", help="Another fault; `chaosctl chaos list` names them.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--with", metavar="KEY=VALUE", help="What the fault can be told; repeatable.")
    ] = None,
    count: Annotated[int | None, typer.Option("--count", min=1, help="How many pods.")] = None,
    percent: Annotated[
        float | None, typer.Option("--percent", min=0.1, max=100, help="How many of the ready pods, in per cent.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Without grace: no SIGTERM, no time to finish.")] = False,
    evict: Annotated[bool, typer.Option("--evict", help="By eviction: PodDisruptionBudgets are honoured.")] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Chooses the victims: same seed, same victims.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show who would be killed.")] = False,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", help="Do exactly what a --dry-run --json said, or refuse."),
    ] = None,
    yes_really: Annotated[
        bool, typer.Option("--yes-really", help="Kill more than half of the ready pods, or the last one.")
    ] = False,
    ignore_pdb: IgnorePdb = False,
    context: place.Context = None,
    namespace: place.Namespace = None,
    selector: place.Selector = None,
    url: TrafficUrl = None,
    rate: Annotated[
        float | None, typer.Option("--rate", min=1, max=2000, help="Requests a second on each of the two streams.")
    ] = None,
    observe: Annotated[
        float | None, typer.Option("--observe", "--duration", min=0, help="Seconds to watch after the fault, at least.")
    ] = None,
    budget_success: Annotated[
        float | None, typer.Option("--budget-success", min=0, max=100, help="Requests that must succeed, in per cent.")
    ] = None,
    budget_downtime: Annotated[
        float | None, typer.Option("--budget-downtime", min=0, help="Seconds of downtime that are allowed.")
    ] = None,
    budget_latency: Annotated[
        float | None,
        typer.Option("--budget-latency", min=0.001, help="Seconds within which 99 % of the good answers must come."),
    ] = None,
    budget_recovery: Annotated[
        float | None, typer.Option("--budget-recovery", min=0.1, help="Seconds that each recovery clock may show.")
    ] = None,
    expect_alarm: Annotated[
        list[str] | None,
        typer.Option("--expect-alarm", metavar="NAME", help="It has to go off, and to be over again; repeatable."),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Put back what an earlier run left behind.")] = False,
    html: HtmlFile = None,
    junit: JunitFile = None,
    prometheus: PrometheusFile = None,
) -> Report:
    """Break it under live traffic: does it stay within its budget, and recover?

    Each verdict has its own exit status: 0 PASS, 10 SLO BREACHED, 11 NOT RECOVERED, 12 NOT STEADY, 13 NO EFFECT,
    14 REFUSED, 15 ABORTED, 16 INVALID, 17 ALARM SILENT.
    """
    session.point(context, namespace, selector)
    if undo:
        return Chaos(session, session.settings.chaos, url).undo()
    _check_words(kill_pods, fault, plan, [("--count", count), ("--percent", percent)], force, evict)
    settings = session.settings.chaos.model_copy(
        update={
            name: value
            for name, value in (
                ("rate", rate),
                ("observe_seconds", observe),
                ("success_percent", budget_success),
                ("downtime_seconds", budget_downtime),
                ("latency_seconds", budget_latency),
                ("recovery_seconds", budget_recovery),
            )
            if value is not None
        }
    )
    aim = Aim(
        seed=_seed(seed),
        mode=Mode.FORCED if force else Mode.EVICT if evict else Mode.GRACEFUL,
        count=count,
        percent=percent,
        consent=yes_really,
        ignore_pdb=ignore_pdb,
        fault=fault or "pod-kill",
        options=_options(option or []),
    )
    files = Files(html, junit, prometheus)
    return _carried_out(
        Chaos(session, settings, url),
        (Step(aim.fault, aim, {}, alarms=tuple(expect_alarm or ())),),
        plan,
        dry_run,
        files,
    )


@command
def run(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A scenario file, or the name of a shipped one.")],
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Instead of the scenario's: chooses the victims.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done to whom.")] = False,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="PLAN", help="Do exactly what a --dry-run --json said, or refuse."),
    ] = None,
    yes_really: Annotated[
        bool, typer.Option("--yes-really", help="Consent to more than half of the ready pods, in every step.")
    ] = False,
    ignore_pdb: IgnorePdb = False,
    context: place.Context = None,
    namespace: place.Namespace = None,
    selector: place.Selector = None,
    url: TrafficUrl = None,
    html: HtmlFile = None,
    junit: JunitFile = None,
    prometheus: PrometheusFile = None,
) -> Report:
    """Carry out a scenario: its faults in order or at once, each judged by itself; the worst verdict counts.

    Reports are written for each step; of several steps, each adds its number and fault to the file's name.
    """
    session.point(context, namespace, selector)
    scenario = scenarios.load(file)
    given = {"rate": scenario.rate, "observe_seconds": scenario.observe}
    if scenario.steady is not None:
        given |= {"steady_seconds": scenario.steady.seconds, "steady_within_seconds": scenario.steady.within}
    settings = session.settings.chaos.model_copy(update={k: v for k, v in given.items() if v is not None})
    chosen = scenario.seed if seed is None and scenario.seed is not None else _seed(seed)
    steps = scenarios.steps(scenario, chosen, consent=yes_really, ignore_pdb=ignore_pdb)
    return _carried_out(Chaos(session, settings, url), steps, plan, dry_run, Files(html, junit, prometheus))


@command
def list_(
    session: Session,
    context: place.Context = None,
    namespace: place.Namespace = None,
    selector: place.Selector = None,
) -> Report:
    """List the faults: what each does, needs and puts back, and whether this target can do it; and the scenarios."""
    session.point(context, namespace, selector)
    reachable = session.existing_context() is not None
    reasons = Chaos(session, session.settings.chaos, None).unfit() if reachable else {}
    return view.listed(FAULTS_TO_NAME, reasons, scenarios.shipped(), reachable=reachable)


@command
def schema(session: Session) -> Report:
    """Print the JSON schema of scenario files, for editors."""
    found = scenarios.schema()
    return Report(found, (json.dumps(found, indent=2),))


def _seed(given: int | None) -> int:
    return secrets.randbelow(2**32) if given is None else given


def _options(pairs: list[str]) -> dict[str, str]:
    made = dict(pair.partition("=")[::2] for pair in pairs)
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise UsageProblem(
            f"{wrong[0]!r} is no KEY=VALUE", code="CHAOS-OPTIONS", remedy="give it like --with seconds=20"
        )
    return made


def _carried_out(chaos_of: Chaos, steps: Sequence[Step], plan: Path | None, dry_run: bool, files: Files) -> Report:
    if dry_run:
        return view.all_planned(chaos_of.plans(steps, plan), [step.title for step in steps])
    return chaos_of.run(steps, plan, files)


def _check_words(
    kill_pods: bool,
    fault: str | None,
    plan: Path | None,
    amounts: list[tuple[str, float | None]],
    force: bool,
    evict: bool,
) -> None:
    """Refuse combinations that mean nothing."""
    if not kill_pods and fault is None and plan is None:
        raise UsageProblem(
            "what is to be broken?",
            code="CHAOS-NOTHING",
            remedy="add --kill-pods, --fault, --plan or --undo, or `run` a scenario",
        )
    if fault is not None and (fault not in FAULTS_TO_NAME or (kill_pods and fault != "pod-kill")):
        raise UsageProblem(
            f"there is no fault {fault}" if fault not in FAULTS_TO_NAME else "--kill-pods is a fault of its own",
            code="CHAOS-UNKNOWN-FAULT",
            why=f"there are {', '.join(FAULTS_TO_NAME)}",
            remedy="see `chaosctl chaos list`",
        )
    if all(value is not None for _, value in amounts):
        raise UsageProblem(
            "--count and --percent both say how many", code="CHAOS-AMOUNT", remedy="leave one of them out"
        )
    if force and evict:
        raise UsageProblem(
            "--force and --evict exclude each other",
            code="CHAOS-MODE",
            why="an eviction asks for permission and gives the pod its grace period",
            remedy="leave one of them out",
        )


app.callback(invoke_without_command=True)(chaos)
app.command("run")(run)
app.command("list")(list_)
app.command("schema")(schema)
app.command("report")(chaos_report.report)
app.command("runs")(chaos_report.runs)
