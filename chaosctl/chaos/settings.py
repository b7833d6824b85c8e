"""How the app is set up to survive: what the advisor compares with what happened. Pure, from the APIs' own objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaosctl.chaos.cluster import Object


@dataclass(frozen=True)
class Probe:
    """How often a container is asked, how often it may fail. Seconds; `failures` in a row."""

    path: str
    period: float
    timeout: float
    failures: int

    @property
    def notices_within(self) -> float:
        """Seconds from trouble to consequence, at worst."""
        return self.period * self.failures + self.timeout


@dataclass(frozen=True)
class HealthCheck:
    """How a load balancer looks at its targets, and how long it lets requests finish. Seconds; counts in a row.

    idle_timeout  seconds that it keeps a connection to a target on which nothing is sent; None when that is not known
    """

    path: str
    interval: float
    timeout: float
    healthy: int
    unhealthy: int
    deregistration_delay: float | None = None
    idle_timeout: float | None = None


@dataclass(frozen=True)
class AppSettings:
    """Of the app's newest pod and of the load balancer in front of it; None where there is no such thing.

    replicas  pods when the run began
    gates     readiness gates: a pod with one is Ready only when the load balancer serves it
    pre_stop  seconds that the container sleeps before SIGTERM; None when its preStop does something else
    grace     seconds from the deletion to SIGKILL
    """

    replicas: int
    gates: tuple[str, ...]
    pre_stop: float | None
    grace: float
    readiness: Probe | None = None
    liveness: Probe | None = None
    startup: Probe | None = None
    balancer: HealthCheck | None = None

    @classmethod
    def of(cls, pods: Sequence[Object], balancer: HealthCheck | None = None) -> AppSettings | None:
        """From the app's pods as the API server has them; the first container of each is the app.

        After a rollout pods of the version before it are still ending: nothing is to be learned from those.
        """
        staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        if not staying:
            return None
        spec = max(staying, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))["spec"]
        container = spec["containers"][0]
        return cls(
            replicas=len(staying),
            gates=tuple(gate["conditionType"] for gate in spec.get("readinessGates") or ()),
            pre_stop=_pre_stop(container.get("lifecycle") or {}),
            grace=float(spec.get("terminationGracePeriodSeconds", 30)),
            readiness=_probe(container.get("readinessProbe")),
            liveness=_probe(container.get("livenessProbe")),
            startup=_probe(container.get("startupProbe")),
            balancer=balancer,
        )


def _pre_stop(lifecycle: Object) -> float | None:
    handler = lifecycle.get("preStop")
    if handler is None:
        return 0.0
    return float(handler["sleep"]["seconds"]) if "sleep" in handler else None


def _probe(probe: Object | None) -> Probe | None:
    if probe is None:
        return None
    return Probe(
        path=(probe.get("httpGet") or {}).get("path", ""),
        period=float(probe.get("periodSeconds", 10)),
        timeout=float(probe.get("timeoutSeconds", 1)),
        failures=int(probe.get("failureThreshold", 3)),
    )
