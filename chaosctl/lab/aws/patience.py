"""Holds back the answer to a question that was asked before and has no new answer yet.

Terraform's provider asks for the state of a cluster with growing pauses, of up to ten seconds: what became ready after
six would be noticed after twelve. An answer that is held until there is news is noticed at once.
"""

from __future__ import annotations

import re
import threading
import time

from moto.eks.models import eks_backends

from chaosctl.lab.aws.world import LOCK, Changes

HOLD = 10.0  # seconds, below every client's timeout
REPEATED = 30.0  # seconds within which a second question is taken for polling
PATH = re.compile(r"/clusters/(?P<cluster>[^/]+)(?:/(?P<kind>node-groups|addons|updates)/(?P<name>[^/]+))?")
UNSETTLED = ("CREATING", "UPDATING", "DELETING", "DEGRADED", "InProgress")


class Patience:
    """Knows what was asked before, and hears of changes."""

    def __init__(self, changes: Changes) -> None:
        self._asked: dict[str, float] = {}
        self._news = threading.Condition()
        self._number = 0  # of the latest change
        changes.listen(self._wake)

    def _wake(self) -> None:
        with self._news:
            self._number += 1
            self._news.notify_all()

    def hold(self, method: str, path: str) -> None:
        """Return when a GET of `path` may be answered: at once the first time, later when it has settled."""
        match = PATH.fullmatch(path) if method == "GET" else None
        if match is None:
            return
        now = time.monotonic()
        before, self._asked[path] = self._asked.get(path, 0.0), now
        if now - before > REPEATED:
            return
        self._until_settled(match["cluster"], match["kind"], match["name"], now + HOLD)
        self._asked[path] = time.monotonic()

    def _until_settled(self, cluster: str, kind: str | None, name: str | None, deadline: float) -> None:
        while time.monotonic() < deadline:
            seen = self._number
            if not unsettled(cluster, kind, name):
                return
            # Never look at the world under this condition: whoever announces a change holds the world's lock.
            with self._news:
                self._news.wait_for(lambda: self._number != seen, deadline - time.monotonic())  # noqa: B023


def unsettled(cluster: str, kind: str | None, name: str | None) -> bool:
    """Whether a cluster, or something in it, is on its way to another state."""
    with LOCK:
        for _, _, backend in list(eks_backends.iter_backends()):
            found = backend.clusters.get(cluster)
            if found is not None:
                return _status(found, kind, name or "") in UNSETTLED
    return False


def _status(cluster: object, kind: str | None, name: str) -> str | None:
    if kind is None:
        return getattr(cluster, "status", None)
    table = getattr(cluster, {"node-groups": "nodegroups"}.get(kind, kind))
    item = table.get(name)
    status = item["status"] if isinstance(item, dict) else getattr(item, "status", None)
    return None if status is None else str(status)
