"""One run of one subcommand: its settings, its display, its lock, and what it says at the end."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from chaosctl import places
from chaosctl.cli import compose
from chaosctl.cli.command import Common
from chaosctl.cli.failures import Interrupted
from chaosctl.cli.invocation import Invocation
from chaosctl.errors import ChaosctlError, PreconditionFailed, Refused, UsageProblem
from chaosctl.events import Event, StageFinished, StageStarted, Waiting, Warned
from chaosctl.ui.console import print_lines, print_pages, print_report, say
from chaosctl.ui.live import open_live
from chaosctl.ui.render import Lines, Pages, Report

if TYPE_CHECKING:  # kubectl runs `chaosctl token` at each call, which needs neither settings nor stages
    from chaosctl.config import Settings
    from chaosctl.stages.stage import Context, Stage

PLACE = {"--context": "kube_context", "--namespace": "namespace", "--selector": "selector"}  # options to settings
FULL = 10**7  # bytes: a disk with less room is as good as full


def _full(state: Path) -> bool:
    place = next(p for p in (state, *state.parents) if p.exists())
    usage = shutil.disk_usage(place)
    return usage.free < max(FULL, usage.total // 100)  # below 1 % the lab's kubelets take no pods any more


def _explained(error: ChaosctlError, state: Path) -> ChaosctlError:
    """The error, with the remark that the disk is full: that shows as almost any failure of anything."""
    if _full(state):
        error.why = f"{error.why}\nthe disk that holds {state} is full, which may well be the cause".strip()
        error.remedy = f"free some space first; then {error.remedy or 'run it again'}"
    return error


def lab_not_running() -> PreconditionFailed:
    """The error for what needs a lab and has none."""
    return PreconditionFailed(
        "no lab is running on this machine",
        code="LAB-NOT-RUNNING",
        why="the target is `lab`, and nothing has been deployed yet, or it was removed",
        remedy="run `chaosctl up`, or name another target with --target",
    )


class Session:
    """What a subcommand works with."""

    def __init__(self, said: Invocation, common: Common) -> None:
        self.said = said
        self.command = said.command
        self.common = common
        self._live = open_live(sys.stderr, verbose=common.verbose)
        self._stage = ""
        self._finished: list[str] = []
        self._changing = False
        self._told_full = False
        self._place: dict[str, str | None] = {}

    def emit(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, StageStarted):
            self._stage = event.stage
        elif isinstance(event, StageFinished):
            self._finished.append(event.stage)
        elif isinstance(event, Waiting) and not self._told_full and _full(places.state_dir()):
            self._told_full = True
            self._live.emit(
                Warned(f"the disk that holds {places.state_dir()} is full", "free some space; it goes on then")
            )
        self._live.emit(event)

    @cached_property
    def settings(self) -> Settings:
        """Command line, environment, chaosctl.toml, defaults."""
        from chaosctl import config

        c = self.common
        given = {"target": c.target, "environment": c.environment, "region": c.region, **self._place}
        return config.load(c.config, **given)

    def point(self, context: str | None = None, namespace: str | None = None, selector: str | None = None) -> None:
        """Say on the command line where the app is, before `settings` are read; a kubeconfig context is a target."""
        self._place = {"kube_context": context, "namespace": namespace, "selector": selector}
        if context is None:
            return
        if self.common.target not in (None, "context"):
            raise UsageProblem(
                f"--context {context} and --target {self.common.target} say two different places",
                code="USAGE",
                remedy="leave one of them out",
            )
        self._place["target"] = "context"

    def context(self, *, start: bool = False) -> Context:
        """What stages need. With `start` the lab is started when it is not running, else that is an error."""
        context = self.existing_context(start=start)
        if context is None:
            raise lab_not_running()
        return context

    def existing_context(self, *, start: bool = False, heal: bool = False) -> Context | None:
        """Like `context`, but None when the target does not exist. With `heal` one that was killed is started again."""
        return compose.open_context(self.settings, self.emit, start=start, heal=heal)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held by whatever changes this environment. Raises Busy, which names the other run."""
        from chaosctl.cli import lock

        with lock.held(compose.environment_dir(self.settings), " ".join(["chaosctl", *self.said.words])):
            self._changing = True
            yield

    def confirm(self, question: str, *, consequence: str) -> None:
        """Ask on the terminal unless --yes. Without a terminal to ask on that is a usage problem."""
        if self.common.yes:
            return
        if not sys.stdin.isatty():
            raise UsageProblem(
                "this needs a yes, and there is nobody to ask",
                code="CONFIRMATION-NEEDED",
                why=consequence,
                remedy="add --yes",
            )
        say(consequence)
        if not typer.confirm(question, err=True):
            raise Refused("not confirmed, nothing was changed", code="NOT-CONFIRMED")

    def require_ours(self) -> None:
        """Raise UsageProblem (CONTEXT-NOT-OURS) on a target that is not for deploying to, before anything is asked."""
        if self.settings.target == "context":
            raise UsageProblem(
                f"`chaosctl {self.command}` cannot act on a kubeconfig context",
                code="CONTEXT-NOT-OURS",
                why="what is there was deployed by other means: it can be looked at, measured and broken, not changed",
                remedy="use smoke, chaos, status, url or doctor, or name another --target",
            )

    def consent(self, context: Context) -> None:
        """Ask before the first thing is made that costs money; as long as the cluster exists it was asked already."""
        from chaosctl.queries import costs, setups
        from chaosctl.stages.access import Access

        settings, payer = context.settings, context.target.billed_to
        if not payer or self.common.yes or Access(context).aws.cluster(settings.cluster_name):
            return
        monthly = costs.total(setups.fixed(settings.infra, costs.load(settings.prices)))
        self.confirm(
            "Deploy it?",
            consequence=f"the environment {settings.environment} ({settings.cluster_name}) will cost the AWS account "
            f"{payer} about ${monthly:.0f} a month, until `chaosctl down`; `chaosctl cost` has the items",
        )

    def run_stage(self, stage: Stage, *, start: bool = False) -> Report:
        """Run one stage by itself, under the lock."""
        from chaosctl.stages import running

        self.require_ours()
        with self.lock():
            context = self.context(start=start)
            if start:
                self.consent(context)
            result = running.run_stage(stage, context)
        changed = "changed" if result.changed else "nothing to do"
        told = {"changed": result.changed, "summary": result.summary, "seconds": result.seconds}
        data = {"stage": stage.name, **told, **result.details}
        return Report(data, (f"{stage.name}: {result.summary} ({changed})",))

    @property
    def repeated_options(self) -> str:
        """What other commands need to mean the same deployment: " --target aws --environment test", or empty."""
        c = self.common
        given = {
            "--config": c.config,
            "--target": c.target,
            "--environment": c.environment,
            "--region": c.region,
            **{option: self._place.get(name) for option, name in PLACE.items()},
        }
        return "".join(f" {option} {shlex.quote(str(value))}" for option, value in given.items() if value)

    def run(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        """Run the subcommand and print its report; ends the program with the report's status."""
        try:
            with self._live:
                report = function(self, **options)
        except KeyboardInterrupt:
            raise self._interrupted() from None
        except ChaosctlError as error:
            raise _explained(error, places.state_dir()) from error.__cause__
        if report is None:
            return
        if isinstance(report, Pages):
            with suppress(KeyboardInterrupt):  # that is how one stops looking
                print_pages(self.command, report, as_json=self.common.json)
            return
        if isinstance(report, Lines):
            with suppress(KeyboardInterrupt):
                print_lines(report, as_json=self.common.json)
            return
        print_report(self.command, report, as_json=self.common.json)
        if isinstance(report, Report) and report.status:
            raise typer.Exit(int(report.status))

    def _interrupted(self) -> Interrupted:
        where = f" in the stage {self._stage}" if self._stage else ""
        if not self._changing:
            return Interrupted(f"interrupted{where}", code="INTERRUPTED", why="nothing was being changed")
        removing = self.command in ("down", "lab stop")
        instead = "" if removing else f", or `chaosctl down{self.repeated_options}` to remove everything"
        return Interrupted(
            f"interrupted{where}",
            code="INTERRUPTED",
            why=f"what was done so far stays as it is; finished: {', '.join(self._finished) or 'nothing yet'}",
            remedy=f"run `chaosctl {self.command}{self.repeated_options}` again to carry on{instead}",
        )
