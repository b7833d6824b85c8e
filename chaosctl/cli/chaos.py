"""chaosctl chaos."""

from __future__ import annotations

import contextlib
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from chaosctl.adapters import elb
from chaosctl.adapters.kube import INGRESSES, PODS, Kube
from chaosctl.chaos import plan as plans
from chaosctl.chaos import runner
from chaosctl.chaos.cluster import KubeCluster, Place, Targets, TargetState
from chaosctl.chaos.experiment import Aim, Budgets, Experiment, FaultPlan, Mode, Timing, TrafficPlan
from chaosctl.chaos.settings import AppSettings, HealthCheck
from chaosctl.chaos.traffic import ProberProcess
from chaosctl.chaos.undo import UndoLog
from chaosctl.cli import chaos_report
from chaosctl.cli import chaos_view as view
from chaosctl.cli.chaos_report import Files, HtmlFile, JunitFile, PrometheusFile
from chaosctl.cli.command import CONTEXT, command
from chaosctl.cli.session import Session
from chaosctl.config import ChaosSettings
from chaosctl.errors import ChaosctlError, PreconditionFailed, UsageProblem
from chaosctl.events import Emit, Event, StandInUsed
from chaosctl.report import runs as journals
from chaosctl.report.journal import Journal
from chaosctl.stages import entrance
from chaosctl.stages.access import Access
from chaosctl.stages.smoke import ROUTES
from chaosctl.stages.stage import Context
from chaosctl.ui.render import Report

ROUTE = "/probe/data"  # the backend's own work, as far as users see it; not a health check
GIVE_UP_AFTER = 60.0  # seconds beyond the recovery budget: late is not the same as never


@command
def chaos(
    session: Session,
    kill_pods: Annotated[
        bool, typer.Option("--kill-pods", help="Kill pods of the app: one, unless told more.")
    ] = False,
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
    ignore_pdb: Annotated[
        bool, typer.Option("--ignore-pdb", help="Delete although a PodDisruptionBudget is violated.")
    ] = False,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Send the traffic here instead of to the app's own.")
    ] = None,
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
    budget_recovery: Annotated[
        float | None, typer.Option("--budget-recovery", min=0.1, help="Seconds that each recovery clock may show.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Put back what an earlier run left behind.")] = False,
    html: HtmlFile = None,
    junit: JunitFile = None,
    prometheus: PrometheusFile = None,
) -> Report:
    """Break it under live traffic: does it stay within its budget, and recover?

    Each verdict has its own exit status: 0 PASS, 10 SLO BREACHED, 11 NOT RECOVERED, 12 NOT STEADY, 13 NO EFFECT,
    14 REFUSED, 15 ABORTED, 16 INVALID.
    """
    _check_words(kill_pods or plan is not None, undo, [("--count", count), ("--percent", percent)], force, evict)
    settings = session.settings.chaos.model_copy(
        update={
            name: value
            for name, value in (
                ("rate", rate),
                ("observe_seconds", observe),
                ("success_percent", budget_success),
                ("downtime_seconds", budget_downtime),
                ("recovery_seconds", budget_recovery),
            )
            if value is not None
        }
    )
    aim = Aim(
        seed=secrets.randbelow(2**32) if seed is None else seed,
        mode=Mode.FORCED if force else Mode.EVICT if evict else Mode.GRACEFUL,
        count=count,
        percent=percent,
        consent=yes_really,
        ignore_pdb=ignore_pdb,
    )
    chaos_of = Chaos(session, settings, aim, url)
    if undo:
        return chaos_of.undo()
    if dry_run:
        return view.planned(chaos_of.plan(plan))
    return chaos_of.run(plan, Files(html, junit, prometheus))


def _check_words(wanted: bool, undo: bool, amounts: list[tuple[str, float | None]], force: bool, evict: bool) -> None:
    """Refuse combinations that mean nothing."""
    if not wanted and not undo:
        raise UsageProblem("what is to be broken?", code="CHAOS-NOTHING", remedy="add --kill-pods, --plan or --undo")
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


class Chaos:
    """One use of the command: the target and what is wanted of it."""

    def __init__(self, session: Session, settings: ChaosSettings, aim: Aim, url: str | None) -> None:
        self._session, self._settings, self._aim, self._url = session, settings, aim, url
        self._context: Context = session.context()
        self._access = Access(self._context)
        self._cluster = KubeCluster(self._access.kube)
        self._undo_log = UndoLog(chaos_report.directory_of(self._context.workdir) / "undo")

    def plan(self, file: Path | None) -> FaultPlan:
        """The plan in `file`, or a new one; within the guard rails now, or Refused."""
        place = self._place()
        pods, budgets = self._cluster.pods(place), self._cluster.budgets(place)
        if file is None:
            return plans.select(self._aim, place, pods, budgets)
        plan = plans.from_json(_read(file), str(file))
        plans.verify(plan, self._aim, place, pods, budgets)
        return plan

    def _place(self) -> Place:
        settings = self._session.settings
        return Place(
            cluster=self._cluster.identity(),
            namespace=settings.namespace,
            selector=f"app.kubernetes.io/instance={settings.release}",
            account=self._access.aws.caller().account if self._context.target.aws_env else "",
        )

    def undo(self) -> Report:
        """Put back what earlier runs left."""
        with self._session.lock():
            return view.undone(runner.put_back_leftovers(self._world(None, threading.Event(), self._session.emit)))

    def run(self, file: Path | None, files: Files) -> Report:
        """Do it, watch it, judge it, and write the reports that are wanted."""
        with self._session.lock(), _interruptions() as interrupt:
            for stand_in in self._context.target.stand_ins:
                self._session.emit(StandInUsed(stand_in.what, stand_in.real))
            runner.put_back_leftovers(self._world(None, interrupt, self._session.emit))
            plan = self.plan(file)
            if file is not None:  # who and how is the plan's business then
                self._aim = replace(self._aim, seed=plan.seed, mode=plan.mode, count=len(plan.victims), percent=None)
            experiment = self._experiment(plan)
            directory = chaos_report.directory_of(self._context.workdir) / time.strftime("%Y%m%d-%H%M%S")
            with Journal(directory) as journal:
                emit = _both(journal.emit, self._session.emit)
                world = replace(
                    self._world(self._targets(), interrupt, emit),
                    settings=self._app_settings(plan.place),
                    repeat=view.repeat(self._aim, sys.argv[2:]),
                )
                result = runner.run(experiment, world)
            told = journals.read(journal.path)
            report = view.concluded(result, journal.path, world.repeat, told.advice)
            return chaos_report.with_files(report, files.write(told), keep=True)

    def _experiment(self, plan: FaultPlan) -> Experiment:
        settings = self._settings
        return Experiment(
            environment=self._session.settings.environment,
            target=self._context.target.name,
            aim=self._aim,
            plan=plan,
            traffic=self._traffic(),
            budgets=Budgets(settings.success_percent, settings.downtime_seconds, settings.recovery_seconds),
            timing=Timing(
                steady=settings.steady_seconds,
                steady_within=settings.steady_within_seconds,
                observe=settings.observe_seconds,
                give_up=settings.recovery_seconds + GIVE_UP_AFTER,
            ),
        )

    def _traffic(self) -> TrafficPlan:
        timeout, rate = self._settings.request_timeout_seconds, self._settings.rate
        if self._url is not None:
            return TrafficPlan(_valid(self._url), rate, timeout)
        settings = self._session.settings
        own = entrance.require_url(self._access.kube, settings.namespace, settings.release)
        return TrafficPlan(own + ROUTE, rate, timeout, expected_keys=ROUTES[ROUTE])

    def _world(self, targets: Targets | None, interrupt: threading.Event, emit: Emit) -> runner.World:
        return runner.World(self._cluster, targets, ProberProcess, self._undo_log, interrupt, emit)

    def _targets(self) -> Targets | None:
        """The load balancer's targets; None for a target without AWS."""
        if not self._context.target.aws_env:
            return None
        settings, aws = self._session.settings, self._access.aws
        balancer = _balancer(self._access, self._access.kube, settings.namespace, settings.release)
        return lambda: [TargetState(t.id, t.port, t.state, t.reason) for t in elb.target_health(aws, balancer)]

    def _app_settings(self, place: Place) -> AppSettings | None:
        """For the advisor, which does without what cannot be read."""
        with contextlib.suppress(ChaosctlError):
            pods = self._access.kube.list(PODS, place.namespace, labels=place.selector)
            if pods:
                return AppSettings.of(pods[0], len(pods), self._health_check())
        return None

    def _health_check(self) -> HealthCheck | None:
        if not self._context.target.aws_env:
            return None
        settings, aws = self._session.settings, self._access.aws
        balancer = _balancer(self._access, self._access.kube, settings.namespace, settings.release)
        groups = elb.groups_behind(aws, balancer)
        return HealthCheck(**asdict(groups[0])) if groups else None


def _balancer(access: Access, kube: Kube, namespace: str, release: str) -> elb.LoadBalancer:
    ingress = kube.get(INGRESSES, release, namespace)
    found = entrance.entrance(access.aws, ingress) if ingress else None
    if found is None:
        raise PreconditionFailed(
            "the app has no load balancer",
            code="CHAOS-NO-BALANCER",
            why=f"the Ingress {namespace}/{release} is missing, or names none that AWS knows",
            remedy="run `chaosctl app`, or `chaosctl up` for everything",
        )
    return found.balancer


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(
            f"{file} cannot be read", code="CHAOS-PLAN-UNREADABLE", why=str(error), remedy="name a plan file"
        ) from error


def _valid(url: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageProblem(
            f"{url!r} is not a URL", code="URL-INVALID", remedy="give one like http://host:port/path or https://host"
        )
    return url


def _both(journal: Emit, display: Emit) -> Emit:
    """To the journal, and to the display: as it is, for the panel, and in words."""

    def emit(event: Event) -> None:
        journal(event)
        display(event)
        words = view.narrated(event)
        if words is not event:
            display(words)

    return emit


@contextmanager
def _interruptions() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set the event, so that the run can put things in order; a second one does not wait for it."""
    event = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


app = typer.Typer(context_settings=CONTEXT)
app.callback(invoke_without_command=True)(chaos)
app.command("report")(chaos_report.report)
app.command("runs")(chaos_report.runs)
