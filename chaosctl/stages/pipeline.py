"""What `up` does, in order."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from chaosctl.events import StageFinished, StageStarted
from chaosctl.stages.app import App
from chaosctl.stages.controller import Controller
from chaosctl.stages.infra import Infra
from chaosctl.stages.kubeconfig import Kubeconfig
from chaosctl.stages.smoke import Smoke
from chaosctl.stages.stage import Context, Stage, StageResult


def stages() -> list[Stage]:
    """The stages of `up`; each needs what those before it made."""
    return [
        Infra(),
        Kubeconfig(),
        Controller(),
        App(),
        Smoke(),
    ]


def run(stages: Iterable[Stage], context: Context) -> Mapping[str, StageResult]:
    """Run `stages` in order; stops at the first failure, which is raised. Results by stage name."""
    return {stage.name: run_stage(stage, context) for stage in stages}


def run_stage(stage: Stage, context: Context) -> StageResult:
    """Run one stage and say so."""
    started = time.monotonic()
    context.emit(StageStarted(stage.name, stage.describe()))
    result = stage.run(context)
    context.emit(StageFinished(stage.name, time.monotonic() - started, result.changed, result.summary))
    return result
