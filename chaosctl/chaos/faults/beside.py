"""What the faults have in common that act on pods from beside them, by a helper on the pod's node."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from chaosctl.adapters.kube import PODS
from chaosctl.chaos import helper
from chaosctl.chaos import plan as plans
from chaosctl.chaos.cluster import Cluster, Object, Place
from chaosctl.chaos.events import Injected, NotInjected
from chaosctl.chaos.experiment import Aim, FaultPlan, Sign, Victim
from chaosctl.chaos.faults import fault, workload
from chaosctl.chaos.faults.fault import Fault, Injection, Look
from chaosctl.chaos.faults.pod_kill import pause
from chaosctl.errors import ChaosctlError, Refused
from chaosctl.events import Waiting


class Lasting(fault.Options):
    """For how many seconds."""

    seconds: float = Field(20.0, ge=0, le=600)


class Beside(Fault):
    """A helper beside each victim acts until it is ended, or its time is over.

    sign   what shows that a victim was hit: what its helper sees, or its restart count
    held   whether it lasts until it is undone
    spare  seconds that a helper acts longer than is wanted, if nobody ends it
    """

    needs = "Linux nodes; a namespace that admits privileged pods, for its helpers"
    undoes = "ends its helpers: nothing of what they do outlives them"
    sign: ClassVar[Sign] = Sign.CHANGED
    held: ClassVar[bool] = True
    spare: ClassVar[float] = 60.0

    @abstractmethod
    def task(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        """What the agent is told: its act, and what that takes."""

    def unfit(self, cluster: Cluster, place: Place) -> str:
        return helper.refused(cluster)

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        """See Fault. No PodDisruptionBudget protects against this, the blast radius does."""
        self.told(aim.options)
        self.require_fit(cluster, place)
        chosen = plans.select(replace(aim, ignore_pdb=True), place, cluster.pods(place), ()).victims
        victims = [replace(victim, sign=self.sign) for victim in chosen]
        return workload.make(self.name, aim, place, victims, workload.ready_count(cluster, place), held=self.held)

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        names = [helper.name_of(self.name, victim.uid) for victim in _pods_of(plan)]
        return {"namespace": cluster.helpers.namespace, "helpers": names}

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        """See Fault. All helpers are started, then heard: each begins as soon as it can."""
        starting = []
        for victim in _pods_of(plan):
            if stop():
                return
            try:
                self._start(plan, victim, cluster)
                starting.append(victim)
            except ChaosctlError as error:
                yield NotInjected(time.monotonic(), victim.uid, victim.name, str(error))
        acts, refusals = 0, []
        for injection in self._heard(starting, cluster, stop):
            yield injection
            if isinstance(injection, Injected):
                acts += 1
            elif isinstance(injection, NotInjected):
                refusals.append(injection.why)
        if refusals and not acts:
            raise Refused(f"the fault {self.name} cannot be done here", code="CHAOS-UNFIT", why="\n".join(refusals))

    def _start(self, plan: FaultPlan, victim: Victim, cluster: Cluster) -> None:
        """A helper for exactly this pod."""
        found = cluster.get(PODS, victim.name, plan.place.namespace)
        if found is None or found["metadata"]["uid"] != victim.uid:
            raise Refused(f"the pod {victim.name} is gone", code="CHAOS-DRIFTED", remedy="make a new plan")
        lasts = {"container": _container(found), "seconds": self.seconds(plan) + self.spare}
        helper.start(cluster, helper.name_of(self.name, victim.uid), victim.node, {**lasts, **self.task(plan, cluster)})

    def _heard(self, starting: list[Victim], cluster: Cluster, stop: Callable[[], bool]) -> Iterator[Injection]:
        """Each as soon as its helper acts, or says why it cannot."""
        begun = time.monotonic()
        deadline = begun + helper.START_WITHIN
        while starting and not stop():
            words = self._words(starting, cluster)
            for victim in list(starting):
                word = words[victim.uid]
                if word.state in (helper.ACTING, helper.OVER):
                    yield Injected(word.at, victim.uid, victim.name)
                elif word.state == helper.CANNOT:
                    yield NotInjected(word.at, victim.uid, victim.name, word.said)
                elif word.at >= deadline:
                    why = f"its helper did not start within {helper.START_WITHIN:g} s: {word.said}"
                    yield NotInjected(word.at, victim.uid, victim.name, why)
                else:
                    yield Waiting(f"the helper beside {victim.name}", word.at - begun, word.said)
                    continue
                starting.remove(victim)
            if starting:
                pause(helper.GLANCE, stop)

    def _words(self, victims: Sequence[Victim], cluster: Cluster) -> dict[str, helper.Word]:
        """The last words of their helpers, by the victims' UIDs."""
        names = {helper.name_of(self.name, victim.uid): victim.uid for victim in victims}
        return {names[name]: word for name, word in helper.hear(cluster, list(names)).items()}

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        """See Fault. What helpers see, as long as they act."""
        words = self._words([victim for victim in _pods_of(plan) if victim.sign is Sign.CHANGED], cluster)
        return Look({uid: word.said for uid, word in words.items() if word.state == helper.ACTING and word.said})

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        ended = helper.end(cluster, data["namespace"], data["helpers"])
        return f"what the helpers of {self.name} did has ended" if ended else "nothing to put back: no helper is left"


def _pods_of(plan: FaultPlan) -> list[Victim]:
    return [victim for victim in plan.victims if victim.kind == "Pod"]


def _container(pod: Object) -> str:
    """The ID of the app's own container: its first."""
    name = pod["spec"]["containers"][0]["name"]
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    found = next((status.get("containerID", "") for status in statuses if status["name"] == name), "")
    if not found:
        raise Refused(f"the container {name} does not run", code="CHAOS-DRIFTED", remedy="make a new plan")
    return str(found.partition("://")[2])
