"""Looking at the load balancer's targets again and again: elbv2 has nothing to watch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from chaosctl.chaos import events as e
from chaosctl.chaos.cluster import Targets, TargetState
from chaosctl.errors import ChaosctlError

Tell = Callable[[e.ChaosEvent], None]


class TargetPoll:
    """Tells TargetsSeen at the first look and at every change, TargetsUnknown when they cannot be asked for.

    Use as a context manager; begins a look every `interval` seconds on a thread of its own. What was seen is dated to
    the middle between question and answer: in between the service read it.
    """

    def __init__(self, targets: Targets, interval: float, tell: Tell) -> None:
        self._targets, self._interval, self._tell = targets, interval, tell
        self._known: tuple[TargetState, ...] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="targets", daemon=True)

    def __enter__(self) -> TargetPoll:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        took = 0.0
        while not self._stopped.wait(max(0.0, self._interval - took)):
            begun = time.monotonic()
            self._look()
            took = time.monotonic() - begun

    def _look(self) -> None:
        begun = time.monotonic()
        try:
            found = tuple(sorted(self._targets(), key=lambda target: (target.id, target.port)))
        except ChaosctlError as error:
            if self._known is not None or not self._stopped.is_set():
                self._tell(e.TargetsUnknown(time.monotonic(), str(error)))
            self._known = None
            return
        if found != self._known:
            self._tell(e.TargetsSeen((begun + time.monotonic()) / 2, found))
        self._known = found
