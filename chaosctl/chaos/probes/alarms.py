"""Looking at the alarms that a run expects: CloudWatch has nothing to watch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from chaosctl.chaos import events as e
from chaosctl.chaos.probes.poll import Poll
from chaosctl.errors import ChaosctlError

Alarms = Callable[[], Mapping[str, str]]  # state by name

EVERY = 1.0  # seconds; an alarm is evaluated once a minute


class AlarmPoll(Poll):
    """Tells AlarmSeen at the first look and at every change of one of `names`.

    A look that gets no answer is no news: what happened meanwhile is told late.
    """

    def __init__(self, alarms: Alarms, names: tuple[str, ...], tell: e.Tell) -> None:
        super().__init__("alarms", EVERY)
        self._alarms, self._names, self._tell = alarms, names, tell
        self._known: dict[str, str] = {}

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
