"""One command line, as far as it is understood: whatever fails, something has to be said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Invocation:
    """The words after the program's name; `command` and `json` are what they mean.

    Those two are guessed first, from words that may be wrong ones; a session, which has its options, knows them.
    """

    words: tuple[str, ...]
    command: str
    json: bool

    @classmethod
    def of(cls, words: Sequence[str]) -> Invocation:
        """What can be guessed."""
        return cls(tuple(words), next((word for word in words if not word.startswith("-")), ""), "--json" in words)
