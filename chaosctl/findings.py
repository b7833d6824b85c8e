"""What an examination finds, and what a target adds to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How much a finding matters, the least first."""

    OK = "ok"
    UNKNOWN = "unknown"  # it could not be found out
    WARNING = "warning"  # `up` works, but something should be known or done
    PROBLEM = "problem"  # `up` cannot work


@dataclass(frozen=True)
class Finding:
    """One thing that was found: what, one line, and what to do about it, one line (empty when it is fine).

    `origin` is the error code behind it, or empty.
    """

    level: Level
    what: str
    remedy: str = ""
    origin: str = ""


@dataclass(frozen=True)
class Check:
    """A look at one thing that only one target has."""

    name: str
    look: Callable[[], Iterable[Finding]]


def ok(what: str) -> Finding:
    """It is as it should be."""
    return Finding(Level.OK, what)


def unknown(what: str, remedy: str = "") -> Finding:
    """It could not be found out."""
    return Finding(Level.UNKNOWN, what, remedy)


def warning(what: str, remedy: str) -> Finding:
    """It should be known."""
    return Finding(Level.WARNING, what, remedy)


def problem(what: str, remedy: str) -> Finding:
    """It makes `up` impossible."""
    return Finding(Level.PROBLEM, what, remedy)
