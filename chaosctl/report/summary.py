"""From the lines of a journal to the events of its run. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from pydantic import TypeAdapter, ValidationError

from chaosctl.chaos import events as e
from chaosctl.errors import UsageProblem
from chaosctl.report.journal import FORMAT

_TYPES: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(kind)
    for name, kind in inspect.getmembers(e, inspect.isclass)
    if issubclass(kind, e.ChaosEvent) and kind is not e.ChaosEvent
}


def started(first: e.ChaosEvent | None) -> e.ExperimentStarted:
    """The event that a journal begins with. Raises UsageProblem (CHAOS-NO-JOURNAL) when it is another one."""
    if not isinstance(first, e.ExperimentStarted):
        raise _no_journal("its first line does not start an experiment")
    return first


def decode(lines: Iterable[bytes]) -> Iterator[e.ChaosEvent]:
    """The events of a run in a journal; those for the display only are left out, as is half a line at the end."""
    for line in lines:
        try:
            fields = msgspec.json.decode(line)
        except ValueError:
            return
        if fields.pop("format", FORMAT) != FORMAT:
            raise _no_journal(f"its format is not {FORMAT}")
        kind = _TYPES.get(fields.pop("type", ""))
        if kind is not None:
            yield _event(kind, fields)


def _event(kind: TypeAdapter[Any], fields: dict[str, Any]) -> e.ChaosEvent:
    try:
        event: e.ChaosEvent = kind.validate_python(fields)
    except ValidationError as error:
        raise _no_journal(str(error)) from error
    return event


def _no_journal(why: str) -> UsageProblem:
    return UsageProblem(
        "this is not a journal of chaosctl",
        code="CHAOS-NO-JOURNAL",
        why=why,
        remedy="name the journal.jsonl that a run of `chaosctl chaos` has shown",
    )
