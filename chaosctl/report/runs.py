"""The runs of an environment, by their journals on disk, and everything that can be made of one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from chaosctl.chaos.experiment import FaultPlan
from chaosctl.chaos.record import Record
from chaosctl.chaos.result import Result, conclude
from chaosctl.chaos.timeline import Timeline
from chaosctl.chaos.verdict import Verdict
from chaosctl.errors import ChaosctlError, UsageProblem
from chaosctl.report.journal import NAME
from chaosctl.report.summary import decode, started

if TYPE_CHECKING:
    from chaosctl.chaos.advisor import Advice

TAIL = 65_536  # bytes: the last line of a journal fits


@dataclass(frozen=True)
class Run:
    """A run, as the ends of its journal tell it. `verdict` is empty while it runs, and when it was cut short."""

    name: str
    began: str
    fault: str
    verdict: str
    journal: Path

    @property
    def outcome(self) -> str:
        """In words; the journal of a run that was killed looks like that of one that goes on."""
        return self.verdict or "no verdict: it runs, or was cut short"


@dataclass(frozen=True)
class Told:
    """A journal, read and judged."""

    result: Result
    line: Timeline
    advice: Sequence[Advice]
    journal: Path


def directory_of(environment: Path) -> Path:
    """Where the runs of an environment are."""
    return environment / "chaos"


def runs(directory: Path) -> list[Run]:
    """All runs below `directory`, also steps of scenarios, the newest first. What is no journal is left out."""
    return list(_runs(directory))


def newest(directory: Path) -> Run | None:
    """The last one that was begun; only its journal is read."""
    return next(_runs(directory), None)


def latest(directory: Path) -> Run | None:
    """The last one that was begun; a scenario as a whole, which is as good as its worst step.

    A step that was refused has no journal, and one that runs or was cut short no verdict: so has the scenario then.
    """
    last = newest(directory)
    if last is None or last.journal.parent.parent == directory:
        return last
    from chaosctl.chaos.campaign import WORSE  # with all faults

    known, whole = [verdict.value for verdict in WORSE], last.journal.parent.parent
    steps = [run for path in sorted(whole.glob(f"*/{NAME}")) if (run := _run(path, directory)) is not None]
    bad = max(steps, key=lambda run: known.index(run.verdict) if run.verdict else len(known))
    which = "the worst is" if bad.verdict else "not ended is"
    told = f", {which} {bad.journal.parent.name} ({bad.fault})" if bad.verdict != Verdict.PASS.value else ""
    many = f"{len(steps)} step{'s' if len(steps) > 1 else ''}"
    return Run(whole.name, steps[0].began, f"scenario, {many}{told}", bad.verdict, bad.journal)


def _runs(directory: Path) -> Iterator[Run]:
    found = sorted([*directory.glob(f"*/{NAME}"), *directory.glob(f"*/*/{NAME}")], reverse=True)
    return (run for path in found if (run := _run(path, directory)) is not None)


def _run(path: Path, directory: Path) -> Run | None:
    try:
        with path.open("rb") as file:
            first = started(next(decode([file.readline()]), None))
            last = _last_line(path)
    except (OSError, ChaosctlError):
        return None
    name, fault = str(path.parent.relative_to(directory)), describe(first.experiment.plan)
    began = datetime.fromtimestamp(first.wall, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Run(name, began, fault, last, path)


def describe(plan: FaultPlan) -> str:
    """What was planned, in a few words."""
    kinds = Counter(victim.kind for victim in plan.victims)
    how = f" {plan.mode.value}" if plan.fault == "pod-kill" else ""
    what = ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in kinds.items())
    whole = " + ".join(part.fault for part in plan.parts) or plan.fault
    return f"{whole}{how}: {what}, {plan.ready} pods were ready"


def _last_line(path: Path) -> str:
    """The verdict in the last line, or nothing."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        lines = file.read().splitlines()
    try:
        last = msgspec.json.decode(lines[-1])
    except (ValueError, IndexError):
        return ""
    return str(last["verdict"]) if last.get("type") == "Ended" else ""


def find(directory: Path, name: str | None) -> Path:
    """The journal of the run of this name, a path to a journal, or of the newest run. Raises UsageProblem."""
    if name is None:
        last = newest(directory)
        if last is None:
            raise UsageProblem(
                "there has been no run yet",
                code="CHAOS-NO-RUN",
                why=f"there is no journal in {directory}",
                remedy="run `chaosctl chaos --kill-pods`, or name a journal",
            )
        return last.journal
    for path in (directory / name / NAME, Path(name) / NAME, Path(name)):
        if path.is_file():
            return path
    steps = [run.name for run in runs(directory) if Path(name) in Path(run.name).parents]
    raise UsageProblem(
        f"there is no run {name}",
        code="CHAOS-NO-RUN",
        why=f"it is a scenario with the steps {', '.join(reversed(steps))}"
        if steps
        else f"neither {directory / name} nor {name} holds a journal",
        remedy="see `chaosctl chaos runs`",
    )


def read(journal: Path) -> Told:
    """Judge it, by the rules of this version: anyone who has the file can check the verdict again.

    A journal that stops in the middle, also of its last line, is judged for what it has: INVALID, mostly.
    Raises UsageProblem (CHAOS-NO-JOURNAL) when it does not begin as a journal does.
    """
    from chaosctl.chaos.advisor import advise  # with all faults, which a list of runs can do without

    with journal.open("rb") as lines:
        events = list(decode(lines))
    record, line = Record(started(events[0] if events else None).experiment), Timeline.of(events)
    for event in events[1:]:
        record.add(event)
    return Told(conclude(record), line, advise(line), journal)


def write(path: Path, text: str) -> Path:
    """Write a whole file or none; returns where. Raises UsageProblem (CHAOS-REPORT-UNWRITABLE)."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text)
        os.replace(new, path)  # noqa: PTH105
    except OSError as error:
        raise UsageProblem(
            f"{path} cannot be written", code="CHAOS-REPORT-UNWRITABLE", why=str(error), remedy="name another file"
        ) from error
    return path
