"""The app crashes: its process stays, and answers with errors until its container is restarted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from chaosctl.adapters.kube import PODS
from chaosctl.chaos import plan as plans
from chaosctl.chaos.cluster import Cluster, Place
from chaosctl.chaos.events import Injected, NotInjected
from chaosctl.chaos.experiment import Aim, FaultPlan, Sign, Victim
from chaosctl.chaos.faults import workload
from chaosctl.chaos.faults.fault import Fault, Injection
from chaosctl.errors import ChaosctlError

COMMAND = "chaosctl.dev/crash-command"  # annotation of a pod that offers it: a JSON list
SECONDS = 10.0  # for the command to end


class AppCrash(Fault):
    """The crash that the chaotic backend has by itself, on demand. A pod says by an annotation how to ask for it."""

    name = "app-crash"
    about = "the app goes into its crashed state, in which it answers 500 until it is restarted"
    needs = f"pods with the annotation {COMMAND}"
    undoes = "nothing to put back: the liveness probe restarts the container"

    shows_within = 60.0  # the liveness probe has to fail several times

    def unfit(self, cluster: Cluster, place: Place) -> str:
        offering = [obj for obj in cluster.list(PODS, place.namespace, place.selector) if _command(obj)]
        return "" if offering else f"this backend offers no crash: no pod has the annotation {COMMAND}"

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        """See Fault. No PodDisruptionBudget protects against a crash, the blast radius does."""
        self.require_fit(cluster, place)
        chosen = plans.select(replace(aim, ignore_pdb=True), place, cluster.pods(place), ()).victims
        restarts = {pod.uid: pod.restarts for pod in cluster.pods(place)}
        victims = [replace(v, sign=Sign.RESTARTED, before=str(restarts[v.uid])) for v in chosen]
        return workload.make(self.name, aim, place, victims, workload.ready_count(cluster, place))

    def describe(self, plan: FaultPlan) -> str:
        return f"crash {', '.join(victim.name for victim in plan.victims)}"

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        for victim in plan.victims:
            if stop():
                return
            try:
                wrong = self._crash(plan.place, victim, cluster)
            except ChaosctlError as error:
                wrong = str(error)
            at = time.monotonic()
            if wrong:
                yield NotInjected(at, victim.uid, victim.name, wrong)
            else:
                yield Injected(at, victim.uid, victim.name)

    def _crash(self, place: Place, victim: Victim, cluster: Cluster) -> str:
        """What went wrong; empty when the command was carried out in exactly this pod."""
        found = cluster.get(PODS, victim.name, place.namespace)
        if found is None or found["metadata"]["uid"] != victim.uid:
            return "it was gone already"
        container = found["spec"]["containers"][0]["name"]
        ended = cluster.execute(place.namespace, victim.name, container, _command(found), SECONDS)
        return "" if ended.status in (0, None) else f"status {ended.status}: {ended.stderr.strip()[-300:]}"


def _command(pod: object) -> list[str]:
    assert isinstance(pod, dict)
    return [str(word) for word in json.loads((pod["metadata"].get("annotations") or {}).get(COMMAND, "[]"))]
