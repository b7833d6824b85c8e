"""Telling of a watch that breaks and comes back: what happens meanwhile is seen late or not at all."""

from __future__ import annotations

import time

from chaosctl.chaos import events as e
from chaosctl.chaos.cluster import Watch


class WatchHealth:
    """Call `look` often; it tells WatchBroken and WatchRestored when that changes."""

    def __init__(self, watch: Watch, tell: e.Tell) -> None:
        self._watch, self._tell = watch, tell
        self._broken = False

    def look(self) -> None:
        """Look once."""
        error = self._watch.broken
        if error is not None and not self._broken:
            self._tell(e.WatchBroken(time.monotonic(), str(error)))
        elif error is None and self._broken:
            self._tell(e.WatchRestored(time.monotonic()))
        self._broken = error is not None
