"""Alarms that a run expects to go off, and to be over again. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

ON = "ALARM"
PATIENCE = 600.0  # seconds for an alarm to go off, or to be over: some look at five minutes
UNUSABLE = "missing"  # there is no such alarm any more


@dataclass(frozen=True)
class Drilled:
    """What became of one alarm. Seconds: to go off from the fault, to be over from its end; None: it did not."""

    name: str
    went_off: float | None
    was_over: float | None


@dataclass
class Drill:
    """The states of the expected alarms, as they were seen."""

    names: tuple[str, ...]
    states: dict[str, str] = field(default_factory=dict)
    on: dict[str, float] = field(default_factory=dict)  # when each first went off, after the fault
    over: dict[str, float] = field(default_factory=dict)  # when it was last over, after that
    begun: bool = False

    def begin(self) -> None:
        """The fault is injected: what goes off from now on counts."""
        self.begun = True

    def seen(self, at: float, name: str, state: str) -> None:
        """An alarm was looked at."""
        self.states[name] = state
        if not self.begun:
            return
        if state == ON:
            self.on.setdefault(name, at)
            self.over.pop(name, None)
        elif name in self.on:
            self.over.setdefault(name, at)

    def loud(self) -> str:
        """What is in the way before the fault: an alarm that goes off by itself; empty when none does."""
        unseen = [name for name in self.names if name not in self.states]
        wrong = [f"the alarm {n} is {self.states[n]}" for n in self.names if self.states.get(n) in (ON, UNUSABLE)]
        return "; ".join([f"the alarm {name} was not seen yet" for name in unseen] + wrong)

    def silent(self) -> str:
        """Which alarms have not gone off; empty when all have."""
        return _listed("has not gone off", (name for name in self.names if name not in self.on))

    def unfinished(self) -> str:
        """Which alarms have not gone off, or are not over; empty when all are."""
        return self.silent() or _listed("is not over", (name for name in self.names if name not in self.over))

    def outcome(self, fault: float | None, end: float | None) -> tuple[Drilled, ...]:
        """By alarm, in seconds from the fault and from its end."""
        return tuple(
            Drilled(name, _minus(self.on.get(name), fault), _minus(self.over.get(name), end)) for name in self.names
        )


def _listed(what: str, names: Iterable[str]) -> str:
    return "; ".join(f"the alarm {name} {what}" for name in names)


def _minus(at: float | None, start: float | None) -> float | None:
    return None if at is None or start is None else at - start
