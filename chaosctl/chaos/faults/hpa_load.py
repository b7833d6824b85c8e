"""The app comes under so much load that its HPA has to scale out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from chaosctl.adapters.kube import AUTOSCALERS, quantity
from chaosctl.chaos import cluster as clusters
from chaosctl.chaos.cluster import Cluster, Object, Place
from chaosctl.chaos.events import Injected
from chaosctl.chaos.experiment import Aim, FaultPlan, Sign, Victim
from chaosctl.chaos.faults import template, workload
from chaosctl.chaos.faults.beside import Beside, Lasting
from chaosctl.chaos.faults.fault import Injection, Look
from chaosctl.errors import Refused

BELOW_LIMIT = 0.8  # of a container's limit: the load is to be noticed by the HPA, not by users


class Options(Lasting):
    """How many times the use of CPU that the HPA aims at, for how long at least; whether to see it scale in again."""

    times: float = Field(2.0, gt=1.1, le=20)  # an HPA ignores a deviation of 10 %
    seconds: float = Field(0.0, ge=0, le=600)
    scale_in: bool = False


@dataclass(frozen=True)
class Scaler:
    """An HPA as far as it goes by CPU. target: per cent of what the pods request. request, limit: processors."""

    uid: str
    name: str
    target: float
    replicas: int
    most: int
    request: float
    limit: float
    stopped: str  # why it does not scale; empty when it does

    @classmethod
    def of(cls, hpa: Object, container: Object) -> Scaler:
        """From the API's objects; target or request 0 when it has none."""
        spec, status, resources = hpa["spec"], hpa.get("status", {}), container.get("resources") or {}
        conditions = {c["type"]: c for c in status.get("conditions") or ()}
        active = conditions.get("ScalingActive", {})
        limits = resources.get("limits") or {}
        return cls(
            uid=hpa["metadata"]["uid"],
            name=hpa["metadata"]["name"],
            target=_cpu(spec.get("metrics") or (), "target"),
            replicas=status.get("desiredReplicas", 0),
            most=spec["maxReplicas"],
            request=quantity((resources.get("requests") or {}).get("cpu", "0")),
            limit=quantity(limits["cpu"]) if "cpu" in limits else float("inf"),
            stopped="" if active.get("status") == "True" else active.get("message", "it has no metrics yet"),
        )

    def load(self, times: float) -> float:
        """Processors to keep busy in each pod."""
        return min(times * self.target / 100 * self.request, BELOW_LIMIT * self.limit)


class HpaLoad(Beside):
    """Every ready pod gets the same load, beside what users cause; the HPA sees it in its real metrics."""

    name = "hpa-load"
    takes = False
    about = "load in every pod of the app, `times` of what its HPA aims at, until that scales out"
    needs = "an HPA by CPU utilization that has metrics and may add pods; helpers: privileged pods"
    undoes = "ends the load; the HPA scales in by itself, when its stabilization window is over"
    options = Options
    spare = 300.0  # until metrics have arrived, and the HPA has acted

    def unfit(self, cluster: Cluster, place: Place) -> str:
        found = _scaler(cluster, place)
        if found is None or not found.target or not found.request:
            return "the app has no HPA that goes by the CPU utilization of its pods"
        if found.stopped:
            return f"the HPA {found.name} does not scale: {found.stopped}"
        if found.replicas >= found.most:
            return f"the HPA {found.name} is at its most, {found.most} replicas"
        return super().unfit(cluster, place)

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        """See Fault. No pod is lost by this: the load stays below their limits, and the blast radius does not count."""
        self.told(aim.options)
        self.require_fit(cluster, place)
        found = _scaler(cluster, place)
        assert found is not None
        scaler = Victim(found.uid, found.name, "", "", "", "", "HPA", sign=Sign.CHANGED, before=str(found.replicas))
        ready = sorted(clusters.ready(cluster.pods(place), place), key=lambda pod: pod.uid)
        pods = [replace(Victim.of(pod, sign=Sign.CHANGED), owner_uid="") for pod in ready]
        return workload.make(self.name, aim, place, (scaler, *pods), len(ready), held=True)

    def describe(self, plan: FaultPlan) -> str:
        options: Options = self.told(plan.options)
        scaler, *pods = plan.victims
        return f"load {len(pods)} pods with {options.times:g} times what the HPA {scaler.name} aims at"

    def task(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        options: Options = self.told(plan.options)
        found = _scaler(cluster, plan.place)
        if found is None:
            raise Refused("the HPA is gone", code="CHAOS-DRIFTED", remedy="make a new plan")
        return {"act": "cpu", "cpus": round(found.load(options.times), 3)}

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        """See Fault. The HPA is under load with the first of its pods."""
        loaded = False
        for injection in super().inject(plan, cluster, stop, written):
            yield injection
            if isinstance(injection, Injected) and not loaded:
                loaded = True
                yield Injected(injection.at, plan.victims[0].uid, plan.victims[0].name)

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        options: Options = self.told(plan.options)
        scaler = plan.victims[0]
        hpa = cluster.get(AUTOSCALERS, scaler.name, plan.place.namespace) or {}
        status = hpa.get("status", {})
        wanted = status.get("desiredReplicas", 0)
        evidence = (
            f"{scaler.before} -> {wanted} replicas, CPU at {_cpu(status.get('currentMetrics') or (), 'current'):g} %"
        )
        found = super().look(plan, cluster).proved
        more = wanted > int(scaler.before)
        missing = f"the HPA wants {wanted} replicas, not {scaler.before} as before" if more and options.scale_in else ""
        return Look({**found, scaler.uid: evidence} if more else found, missing)


def _scaler(cluster: Cluster, place: Place) -> Scaler | None:
    """The HPA that rules the app's Deployment."""
    deployment = workload.deployment(cluster, place)
    found = workload.autoscaler(cluster, place, deployment["metadata"]["name"])
    return Scaler.of(found, template.container(deployment)) if found else None


def _cpu(metrics: Iterable[Object], which: str) -> float:
    """The average utilization of CPU that metrics name, in per cent of what is requested; 0 without one."""
    resources = {m["resource"]["name"]: m["resource"][which] for m in metrics if m["type"] == "Resource"}
    return float(resources.get("cpu", {}).get("averageUtilization") or 0)
