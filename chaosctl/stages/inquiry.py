"""Many questions at once: each on a thread of its own, and nobody waits for one that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chaosctl.errors import ChaosctlError


@dataclass(frozen=True)
class Outcome:
    """What became of a question: its answer, or the error that it met; when `late`, neither came in time."""

    answer: Any = None
    error: ChaosctlError | None = None
    late: bool = False

    @property
    def answered(self) -> bool:
        """Whether there is an answer."""
        return self.error is None and not self.late


class _Question(threading.Thread):
    def __init__(self, name: str, question: Callable[[], Any]) -> None:
        super().__init__(name=name, daemon=True)
        self._question = question
        self._outcome: Outcome | None = None
        self._bug: Exception | None = None

    def run(self) -> None:
        try:
            self._outcome = Outcome(self._question())
        except ChaosctlError as error:
            self._outcome = Outcome(error=error)
        except Exception as error:  # noqa: BLE001 - a bug of ours is told like any other: on the main thread
            self._bug = error

    def outcome(self) -> Outcome:
        if self._bug:
            raise self._bug
        return self._outcome or Outcome(late=True)


def ask(questions: Mapping[str, Callable[[], Any]], deadline: float) -> dict[str, Outcome]:
    """The outcomes by the questions' names, at the latest `deadline` seconds from now."""
    over = time.monotonic() + deadline
    asked = {name: _Question(name, question) for name, question in questions.items()}
    for each in asked.values():
        each.start()
    for each in asked.values():
        each.join(max(0.0, over - time.monotonic()))
    return {name: each.outcome() for name, each in asked.items()}
