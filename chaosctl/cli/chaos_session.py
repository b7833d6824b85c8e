"""One use of `chaosctl chaos`: it composes target, plans, traffic and journal, and carries out."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from chaosctl.adapters import cloudwatch, elb, http
from chaosctl.adapters.instances import Instances
from chaosctl.adapters.kube import INGRESSES, PODS, Kube
from chaosctl.chaos import campaign, runner
from chaosctl.chaos import plan as plans
from chaosctl.chaos import scenario as scenarios
from chaosctl.chaos.advisor import Advice
from chaosctl.chaos.cluster import HELPER_IMAGE, Cluster, Helpers, Place, Targets, TargetState
from chaosctl.chaos.experiment import Budgets, Experiment, FaultPlan, Timing, TrafficPlan
from chaosctl.chaos.faults import FAULTS
from chaosctl.chaos.faults import SINGLE as FAULTS_TO_NAME
from chaosctl.chaos.faults.fault import Fault
from chaosctl.chaos.kube_cluster import KubeCluster
from chaosctl.chaos.result import Result
from chaosctl.chaos.scenario import Step
from chaosctl.chaos.settings import AppSettings, HealthCheck
from chaosctl.chaos.traffic import ProberProcess
from chaosctl.chaos.undo import UndoLog
from chaosctl.cli import chaos_report
from chaosctl.cli import chaos_view as view
from chaosctl.cli.chaos_report import Files
from chaosctl.cli.session import Session
from chaosctl.cli.signals import interruptions
from chaosctl.config import ChaosSettings
from chaosctl.errors import ChaosctlError, PreconditionFailed, Refused, UsageProblem
from chaosctl.events import Emit, Event, StandInUsed
from chaosctl.events import Step as Said
from chaosctl.report import runs as journals
from chaosctl.report.journal import Journal
from chaosctl.report.runs import Told
from chaosctl.stages import entrance
from chaosctl.stages.access import Access
from chaosctl.stages.smoke import app_url
from chaosctl.stages.stage import Context
from chaosctl.ui.render import Report

GIVE_UP_AFTER = 60.0  # seconds beyond the recovery budget: late is not the same as never


class Chaos:
    """One use of the command: the target and how it is measured."""

    def __init__(self, session: Session, settings: ChaosSettings, url: str | None) -> None:
        self._session, self._settings, self._url = session, settings, url
        self._context: Context = session.context()
        self._access = Access(self._context)
        cloud = Instances(self._access.aws) if self._context.target.aws_env else None
        public = session.settings.mirrors.image(HELPER_IMAGE)
        image = settings.helper_image or self._context.target.helper_image or public
        helpers = Helpers(image, settings.helper_namespace)
        self._cluster = KubeCluster(self._access.kube, cloud, helpers)
        self._directory = journals.directory_of(self._context.workdir)
        ours = self._context.target.kubeconfig is None
        self._undo_log = UndoLog(self._directory / "undo", one_cluster=ours)

    def plans(self, steps: Sequence[Step], file: Path | None) -> list[FaultPlan]:
        """The plans in `file`, or new ones, for the cluster as it is now; within the guard rails, or Refused."""
        known = self._known(steps, file)
        return [self._plan(number, step, known, frozenset()) for number, step in enumerate(steps)]

    def _known(self, steps: Sequence[Step], file: Path | None) -> tuple[FaultPlan, ...]:
        """The plans of a plan file, one for each step; none without a file."""
        if file is None:
            return ()
        known = plans.all_from_json(_read(file), str(file))
        kinds, planned = [step.aim.fault for step in steps], [plan.fault for plan in known]
        if len(planned) != len(kinds) or (len(kinds) > 1 and kinds != planned):
            raise UsageProblem(
                f"{file} is the plan of another scenario",
                code="CHAOS-PLAN-UNREADABLE",
                why=f"it plans {', '.join(planned)}, the scenario says {', '.join(kinds)}",
                remedy="make one for this scenario with --dry-run --json",
            )
        return known

    def _plan(self, number: int, step: Step, known: Sequence[FaultPlan], replaced: frozenset[str]) -> FaultPlan:
        place = self._place()
        if not known:
            return FAULTS[step.aim.fault].plan(step.aim, place, self._cluster)
        plan = known[number]
        plans.verify_place(plan, place)
        if replaced & {victim.uid for victim in plan.victims}:
            self._session.emit(Said(f"{step.title}: earlier steps replaced its victims, so the seed chooses again"))
            return FAULTS[plan.fault].plan(replace(step.aim, seed=plan.seed), place, self._cluster)
        FAULTS[plan.fault].verify(plan, campaign.aim_of(plan, step.aim), self._cluster)
        return plan

    def unfit(self) -> dict[str, str]:
        """For each fault why this target cannot do it; empty when it can."""
        place = self._place()
        return {name: _reason(fault, self._cluster, place) for name, fault in FAULTS_TO_NAME.items()}

    def _place(self) -> Place:
        settings = self._session.settings
        return Place(
            cluster=self._cluster.identity(),
            namespace=settings.namespace,
            selector=settings.app_selector,
            account=self._access.aws.caller().account if self._context.target.aws_env else "",
        )

    def undo(self) -> Report:
        """Put back what earlier runs left."""
        with self._session.lock():
            return view.undone(runner.put_back_leftovers(self._world(None, threading.Event(), self._session.emit)))

    def run(self, steps: Sequence[Step], file: Path | None, files: Files) -> Report:
        """Do it, watch it, judge it, and write the reports that are wanted."""
        with self._session.lock(), interruptions() as interrupt:
            for stand_in in self._context.target.stand_ins:
                self._session.emit(StandInUsed(stand_in.what, stand_in.real))
            runner.put_back_leftovers(self._world(None, interrupt, self._session.emit))
            self._require_alarms(steps)
            known = self._known(steps, file)
            directory = self._directory / time.strftime("%Y%m%d-%H%M%S")

            def planned(number: int, step: Step, replaced: frozenset[str]) -> FaultPlan:
                world = self._world(None, interrupt, self._session.emit)
                runner.let_rollouts_end(world, self._place(), self._settings.steady_within_seconds)
                return self._plan(number, step, known, replaced)

            if len(steps) == 1:
                plan = planned(0, steps[0], frozenset())
                step = replace(steps[0], aim=campaign.aim_of(plan, steps[0].aim) if known else steps[0].aim)
                told = self._carry_out(step, plan, directory, self._repeat(step, 0), interrupt)
                report = view.concluded(told.result, told.journal, told.line.repeat, told.advice)
                return chaos_report.with_files(report, files.write(told), keep=True)

            advice: dict[int, Sequence[Advice]] = {}
            written: list[Path] = []

            def act(number: int, step: Step, plan: FaultPlan) -> Result:
                self._session.emit(Said(f"step {number + 1} of {len(steps)}: {FAULTS[plan.fault].describe(plan)}"))
                name = f"{number + 1:02}-{plan.fault}"
                told = self._carry_out(step, plan, directory / name, self._repeat(step, number), interrupt)
                advice[number] = told.advice
                written.extend(files.of_step(name).write(told))
                return told.result

            outcomes = campaign.run(steps, planned, act)
            for number, (step, why) in campaign.not_run(steps, outcomes).items():
                written.extend(files.of_step(f"{number + 1:02}-{step.aim.fault}").write_not_run(step.title, why))
            report = view.all_concluded(outcomes, steps, directory, advice)
            return chaos_report.with_files(report, written, keep=True)

    def _carry_out(self, step: Step, plan: FaultPlan, directory: Path, repeat: str, interrupt: threading.Event) -> Told:
        """One run with its journal, which alone says what came of it."""
        experiment = self._experiment(step, plan)
        with Journal(directory) as journal:
            world = replace(
                self._world(self._targets(), interrupt, _both(journal.emit, self._session.emit)),
                settings=self._app_settings(plan.place),
                repeat=repeat,
                alarms=self._alarm_states if step.alarms else None,
            )
            runner.run(experiment, world)
        return journals.read(journal.path)

    def _experiment(self, step: Step, plan: FaultPlan) -> Experiment:
        settings = self._settings
        defaults = Budgets(
            success_percent=settings.success_percent,
            downtime_seconds=settings.downtime_seconds,
            latency_seconds=settings.latency_seconds,
            recovery_seconds=settings.recovery_seconds,
        )
        budgets = scenarios.budgets_of(defaults, step.budgets)
        return Experiment(
            environment=self._session.settings.environment,
            target=self._context.target.name,
            aim=step.aim,
            plan=plan,
            traffic=self._traffic(),
            budgets=budgets,
            timing=Timing(
                steady=settings.steady_seconds,
                steady_within=settings.steady_within_seconds,
                observe=settings.observe_seconds if step.observe is None else step.observe,
                give_up=budgets.longest_recovery + GIVE_UP_AFTER,
            ),
            alarms=step.alarms,
        )

    def _alarm_states(self) -> dict[str, str]:
        found = cloudwatch.alarms(self._access.aws, self._session.settings.cluster_name)
        return {alarm.short: alarm.state for alarm in found}

    def _require_alarms(self, steps: Sequence[Step]) -> None:
        """Raise UsageProblem (CHAOS-NO-ALARM) when one is expected that there is not."""
        wanted = {name for step in steps for name in step.alarms}
        known = set(self._alarm_states()) if wanted and self._context.target.aws_env else set()
        if wanted - known:
            raise UsageProblem(
                f"there is no alarm {', '.join(sorted(wanted - known))}",
                code="CHAOS-NO-ALARM",
                why=f"there are {', '.join(sorted(known))}" if known else "nothing is watched here",
                remedy="run `chaosctl alarms`, or name another one",
            )

    def _traffic(self) -> TrafficPlan:
        timeout, rate = self._settings.request_timeout_seconds, self._settings.rate
        if self._url is not None:
            return TrafficPlan(http.checked(self._url), rate, timeout, ca_file=self._ca_file, control=self._control)
        path, own = self._settings.path, app_url(self._context).rstrip("/")
        keys = tuple(self._session.settings.smoke.routes.get(path, ()))
        return TrafficPlan(own + path, rate, timeout, expected_keys=keys, ca_file=self._ca_file, control=self._control)

    @property
    def _control(self) -> str:
        """Beside the service: the API server is reached by name too, and no fault takes it away."""
        return self._settings.control_url or f"{self._access.kube.server}/livez"

    def _repeat(self, step: Step, number: int) -> str:
        return view.repeat(step.aim, self._session.said.words[1:], number)

    @property
    def _ca_file(self) -> str:
        return str(self._context.target.ca_file or "")

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
            return AppSettings.of(pods, self._health_check())
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


def _reason(fault: Fault, cluster: Cluster, place: Place) -> str:
    try:
        return fault.unfit(cluster, place)
    except Refused as error:
        return str(error)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(
            f"{file} cannot be read", code="CHAOS-PLAN-UNREADABLE", why=str(error), remedy="name a plan file"
        ) from error


def _both(journal: Emit, display: Emit) -> Emit:
    """To the journal, and to the display: as it is, for the panel, and in words."""

    def emit(event: Event) -> None:
        journal(event)
        display(event)
        words = view.narrated(event)
        if words is not event:
            display(words)

    return emit
