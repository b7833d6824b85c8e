"""Looking at the alarms that a run expects, again and again: CloudWatch has nothing to watch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from chaosctl.chaos import events as e
from chaosctl.errors import ChaosctlError

Alarms = Callable[[], Mapping[str, str]]  # state by name
Tell = Callable[[e.ChaosEvent], None]

EVERY = 1.0  # seconds; an alarm is evaluated once a minute


class AlarmPoll:
    """Tells AlarmSeen at the first look and at every change of one of `names`. Use as a context manager.

    A look that gets no answer is no news: what happened meanwhile is told late.
    """

    def __init__(self, alarms: Alarms, names: tuple[str, ...], tell: Tell) -> None:
        self._alarms, self._names, self._tell = alarms, names, tell
        self._known: dict[str, str] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)

    def __enter__(self) -> AlarmPoll:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped.wait(EVERY):
            self._look()

    def _look(self) -> None:
        try:
            found = self._alarms()
        except ChaosctlError:
            return
        for name in self._names:
            state = found.get(name, "missing")
            if state != self._known.get(name):
                self._known[name] = state
                self._tell(e.AlarmSeen(time.monotonic(), name, state))
