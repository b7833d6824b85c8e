"""What work says while it runs. Work emits events and returns results; console, journal and reports listen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Base of everything that is emitted."""


@dataclass(frozen=True)
class StageStarted(Event):
    """A stage of the pipeline begins."""

    stage: str
    description: str


@dataclass(frozen=True)
class StageFinished(Event):
    """A stage reached its goal after `seconds`; `changed` is False when there was nothing to do."""

    stage: str
    seconds: float
    changed: bool
    summary: str


@dataclass(frozen=True)
class Step(Event):
    """One thing was done, or begins: a line for people."""

    text: str


@dataclass(frozen=True)
class ResourceProgress(Event):
    """One Terraform resource. `phase` is started, running, done or failed."""

    address: str
    action: str
    phase: str
    seconds: float


@dataclass(frozen=True)
class Waiting(Event):
    """Still waiting for `what`, for `seconds` so far; `detail` is the last thing observed."""

    what: str
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class Transfer(Event):
    """How far a download or a build is; `total` is 0 while it is unknown. `remaining` in seconds, or None.

    `unit` is `bytes`, or what else is counted, for example `packages` of a build.
    """

    what: str
    done: int
    total: int
    remaining: float | None = None
    unit: str = "bytes"


@dataclass(frozen=True)
class Warned(Event):
    """Something that does not stop the work but should be known."""

    text: str
    remedy: str = ""


@dataclass(frozen=True)
class StandInUsed(Event):
    """The lab's own replacement serves in place of `real`."""

    what: str
    real: str


Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """An Emit that drops everything."""
