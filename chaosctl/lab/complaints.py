"""Telling a fault that comes back again and again, without filling the log with it."""

from __future__ import annotations

import logging


class Complaint:
    """What was said last of one thing that is tried over and over: the same fault is told once."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said = ""

    def about(self, what: str, error: Exception) -> None:
        """Log `error` with its traceback, unless that was the last thing said."""
        said = f"{type(error).__name__}: {error}"
        if said != self._said:
            self._log.error("%s: %s", what, said, exc_info=error)
            self._said = said

    def settled(self) -> None:
        """It works again: should the fault come back, that is news."""
        self._said = ""
