"""Kill pods: delete them with their grace period, without any, or evict them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chaosctl.adapters.kube import Conflict, EvictionBlocked, NotFound
from chaosctl.chaos.cluster import Cluster
from chaosctl.chaos.events import Injected, NotInjected
from chaosctl.chaos.experiment import FaultPlan, Mode, Victim
from chaosctl.chaos.faults.fault import Injection
from chaosctl.errors import ChaosctlError

EVICT_EVERY = 1.0  # seconds between two attempts that a PodDisruptionBudget blocks
EVICT_WITHIN = 60.0  # seconds that an eviction may be blocked
GLANCE = 0.1  # seconds between two looks at `stop` while waiting

_VERBS = {Mode.GRACEFUL: "delete", Mode.FORCED: "delete without grace", Mode.EVICT: "evict"}


class PodKill:
    """Pods end; whoever controls them replaces them."""

    name = "pod-kill"

    def describe(self, plan: FaultPlan) -> str:
        """See Fault."""
        return f"{_VERBS[plan.mode]} {', '.join(victim.name for victim in plan.victims)}"

    def undo_data(self, plan: FaultPlan) -> Mapping[str, Any]:
        """See Fault. Nothing needs to be put back; the names are for whoever reads the log."""
        return {"victims": [victim.name for victim in plan.victims]}

    def inject(self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool]) -> Iterator[Injection]:
        """See Fault."""
        for victim in plan.victims:
            if stop():
                return
            try:
                killed = self._kill(plan, victim, cluster, stop)
            except ChaosctlError as error:
                yield NotInjected(time.monotonic(), victim.uid, victim.name, str(error))
                continue
            at = time.monotonic()
            if killed:
                yield Injected(at, victim.uid, victim.name)
            else:
                yield NotInjected(at, victim.uid, victim.name, "it was gone already, or the injection was stopped")

    def _kill(self, plan: FaultPlan, victim: Victim, cluster: Cluster, stop: Callable[[], bool]) -> bool:
        if plan.mode is Mode.EVICT:
            return self._evict(plan, victim, cluster, stop)
        try:
            return cluster.delete(plan.place, victim.name, victim.uid, 0 if plan.mode is Mode.FORCED else None)
        except Conflict:  # a pod of that name exists, but it is another one
            return False

    def _evict(self, plan: FaultPlan, victim: Victim, cluster: Cluster, stop: Callable[[], bool]) -> bool:
        """Try until the budget allows it, as `kubectl drain` does, but not for ever."""
        deadline = time.monotonic() + EVICT_WITHIN
        while not stop():
            try:
                cluster.evict(plan.place, victim.name, victim.uid)
                return True
            except (Conflict, NotFound):
                return False
            except EvictionBlocked:
                if time.monotonic() >= deadline:
                    raise
            _pause(EVICT_EVERY, stop)
        return False

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        """See Fault."""
        return f"nothing to put back: the controllers of {', '.join(data['victims'])} replace them"


def _pause(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop():
        time.sleep(GLANCE)
