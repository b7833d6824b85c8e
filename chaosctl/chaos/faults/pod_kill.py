"""Kill pods: delete them with their grace period, without any, or evict them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from chaosctl.adapters.kube import Conflict, EvictionBlocked, NotFound
from chaosctl.chaos import plan as plans
from chaosctl.chaos.cluster import Cluster, Place
from chaosctl.chaos.events import Injected, NotInjected
from chaosctl.chaos.experiment import Aim, FaultPlan, Mode, Victim
from chaosctl.chaos.faults.fault import Fault, Injection
from chaosctl.errors import ChaosctlError
from chaosctl.events import Waiting

EVICT_EVERY = 1.0  # seconds between two attempts that a PodDisruptionBudget blocks
EVICT_WITHIN = 60.0  # seconds that an eviction may be blocked
BUDGETS = "PodDisruptionBudgets to allow evictions"
GLANCE = 0.1  # seconds between two looks at `stop` while waiting

_VERBS = {Mode.GRACEFUL: "delete", Mode.FORCED: "delete without grace", Mode.EVICT: "evict"}


class PodKill(Fault):
    """Pods end; whoever controls them replaces them."""

    name = "pod-kill"
    about = "pods of the app are deleted (graceful), deleted without grace (forced) or evicted"
    deletes = True

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        return plans.select(aim, place, cluster.pods(place), cluster.budgets(place))

    def verify(self, plan: FaultPlan, aim: Aim, cluster: Cluster) -> None:
        """See Fault. Exactly these pods: others that came meanwhile do not matter."""
        plans.verify(plan, aim, plan.place, cluster.pods(plan.place), cluster.budgets(plan.place))

    def describe(self, plan: FaultPlan) -> str:
        return f"{_VERBS[plan.mode]} {', '.join(victim.name for victim in plan.victims)}"

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        for victim in plan.victims:
            if stop():
                return
            try:
                killed = yield from self._kill(plan, victim, cluster, stop)
            except ChaosctlError as error:
                yield NotInjected(time.monotonic(), victim.uid, victim.name, str(error))
                continue
            at = time.monotonic()
            if killed:
                yield Injected(at, victim.uid, victim.name)
            else:
                yield NotInjected(at, victim.uid, victim.name, "it was gone already, or the injection was stopped")

    def _kill(
        self, plan: FaultPlan, victim: Victim, cluster: Cluster, stop: Callable[[], bool]
    ) -> Generator[Waiting, None, bool]:
        if plan.mode is Mode.EVICT:
            return (yield from self._evict(plan, victim, cluster, stop))
        try:
            return cluster.delete(plan.place, victim.name, victim.uid, 0 if plan.mode is Mode.FORCED else None)
        except Conflict:  # a pod of that name exists, but it is another one
            return False

    def _evict(
        self, plan: FaultPlan, victim: Victim, cluster: Cluster, stop: Callable[[], bool]
    ) -> Generator[Waiting, None, bool]:
        """Try until the budget allows it, as `kubectl drain` does, but not for ever."""
        begun = time.monotonic()
        deadline = begun + EVICT_WITHIN
        while not stop():
            try:
                cluster.evict(plan.place, victim.name, victim.uid)
                return True
            except (Conflict, NotFound):
                return False
            except EvictionBlocked:
                if time.monotonic() >= deadline:
                    raise
            yield Waiting(BUDGETS, time.monotonic() - begun, victim.name)
            pause(EVICT_EVERY, stop)
        return False


def pause(seconds: float, stop: Callable[[], bool]) -> None:
    """Wait, unless the injection is to stop."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop():
        time.sleep(GLANCE)
