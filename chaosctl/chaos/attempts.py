"""Telling of every change that is asked for before it is: an answer can be lost, what it was about has happened then.

Faults need not know of it: they are handed a cluster that tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from chaosctl.adapters.kube import Conflict, EvictionBlocked, NotFound
from chaosctl.chaos import events as e
from chaosctl.chaos.cluster import Cluster

CHANGES = frozenset({"delete", "evict", "patch", "create", "remove", "execute", "terminate", "resize"})
NOT_DONE = (Conflict, EvictionBlocked, NotFound)  # answers that say that nothing was changed


def telling(cluster: Cluster, tell: e.Tell) -> Cluster:
    """The same cluster, which tells Attempted before it is asked to change anything, and Declined if it did not."""
    return cast(Cluster, _Telling(cluster, tell))


class _Telling:
    """Passes everything on."""

    def __init__(self, inner: object, tell: e.Tell) -> None:
        self._inner, self._tell = inner, tell

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "cloud" and found is not None:
            return _Telling(found, self._tell)
        return self._told(name, found) if name in CHANGES else found

    def _told(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any, **options: Any) -> Any:
            if options.get("dry_run"):
                return call(*arguments, **options)
            what = f"{name} {_object(arguments)}"
            self._tell(e.Attempted(time.monotonic(), what))
            try:
                answer = call(*arguments, **options)
            except NOT_DONE:
                self._tell(e.Declined(time.monotonic(), what))
                raise
            if answer is False:  # it was gone already
                self._tell(e.Declined(time.monotonic(), what))
            return answer

        return made


def _object(arguments: tuple[Any, ...]) -> str:
    """What it is asked to change, as far as it has a name: the first text, or that of a manifest."""
    for argument in arguments:
        if isinstance(argument, str):
            return argument
        if isinstance(argument, dict) and "metadata" in argument:
            return str(argument["metadata"].get("name", ""))
    return ""
