"""Running stages: each says when it begins and how it ended."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from chaosctl.events import StageFinished, StageStarted
from chaosctl.stages.stage import Context, Stage, StageResult


def run(stages: Iterable[Stage], context: Context) -> Mapping[str, StageResult]:
    """Run `stages` in order; stops at the first failure, which is raised. Results by stage name."""
    return {stage.name: run_stage(stage, context) for stage in stages}


def run_stage(stage: Stage, context: Context) -> StageResult:
    """Run one stage and say so; the result has its `seconds`."""
    started = time.monotonic()
    context.emit(StageStarted(stage.name, stage.describe()))
    result = stage.run(context)
    seconds = time.monotonic() - started
    context.emit(StageFinished(stage.name, seconds, result.changed, result.summary))
    return replace(result, seconds=round(seconds, 3))
