"""Looking at the load balancer's targets: elbv2 has nothing to watch."""

from __future__ import annotations

import time

from chaosctl.chaos import events as e
from chaosctl.chaos.cluster import Targets, TargetState
from chaosctl.chaos.probes.poll import Poll
from chaosctl.errors import ChaosctlError


class TargetPoll(Poll):
    """Tells TargetsSeen at the first look and at every change, TargetsUnknown when they cannot be asked for.

    What was seen is dated to the middle between question and answer: in between the service read it. From the question
    on that was not answered nothing is known.
    """

    def __init__(self, targets: Targets, interval: float, tell: e.Tell) -> None:
        super().__init__("targets", interval)
        self._targets, self._tell = targets, tell
        self._known: tuple[TargetState, ...] | None = None

    def _look(self) -> None:
        begun = time.monotonic()
        try:
            found = tuple(sorted(self._targets(), key=lambda target: (target.id, target.port)))
        except ChaosctlError as error:
            if self._known is not None or not self._stopped.is_set():
                self._tell(e.TargetsUnknown(begun, str(error)))
            self._known = None
            return
        if found != self._known:
            self._tell(e.TargetsSeen((begun + time.monotonic()) / 2, found))
        self._known = found
