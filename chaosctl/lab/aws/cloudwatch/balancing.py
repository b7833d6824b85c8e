"""Publishes the metrics of load balancers as Elastic Load Balancing does: namespace AWS/ApplicationELB, every minute.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html says under
which dimensions each metric is, and when it is left out. The lab's load balancers are in no zone of their own: only the
counts of targets are told by zone, that of the target.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.elbv2.models import elbv2_backends

from chaosctl.lab.aws.cloudwatch.access_log import AccessLog, Sums
from chaosctl.lab.aws.cloudwatch.alarms import metrics_of
from chaosctl.lab.aws.cloudwatch.metrics import Metric, Metrics
from chaosctl.lab.aws.world import LOCK

NAMESPACE = "AWS/ApplicationELB"
NAMED_BALANCER_STATUSES = (500, 502, 503, 504)  # have a metric of their own beside that of all 5xx

Place = Mapping[str, str]  # dimensions


class Balancing:
    """A `Reconciler`: adds what was requested to the metrics, and looks how many targets are healthy."""

    name = "metrics of load balancers"

    def __init__(self, access_log: AccessLog, clock: Callable[[], float] = time.time) -> None:
        self._access_log, self._clock = access_log, clock

    def reconcile(self) -> None:
        """One look at everything."""
        requested = self._access_log.drain()
        with LOCK:
            for account, region, backend in list(elbv2_backends.iter_backends()):
                metrics = metrics_of(cloudwatch_backends[account][region])
                balancers = {_id(arn): dimension_of(arn) for arn in backend.load_balancers}
                groups = {_id(arn): dimension_of(arn) for arn in backend.target_groups}
                for (minute, balancer, group), sums in requested.items():
                    if balancer in balancers:
                        publish(metrics, minute, balancers[balancer], groups.get(group, ""), sums)
                self._count_targets(metrics, backend)

    def _count_targets(self, metrics: Metrics, backend: Any) -> None:
        for group in list(backend.target_groups.values()):
            for balancer in group.load_balancer_arns if group.targets else ():
                place = {"LoadBalancer": dimension_of(balancer), "TargetGroup": dimension_of(group.arn)}
                for dimensions, states in _states(group, place):
                    for name, state in (("HealthyHostCount", "healthy"), ("UnHealthyHostCount", "unhealthy")):
                        metrics.put(Metric.of(NAMESPACE, name, dimensions), self._clock(), states[state], "Count")


def dimension_of(arn: str) -> str:
    """The value by which metrics name a load balancer (app/NAME/ID) or a target group (targetgroup/NAME/ID)."""
    return arn.rpartition(":")[2].removeprefix("loadbalancer/")


def _id(arn: str) -> str:
    return arn.rpartition("/")[2]


def _states(group: Any, place: Place) -> Iterator[tuple[Place, Counter[str]]]:
    """How many targets are in which state: all, and those of each zone."""
    observed = [(group.targets[key].get("AvailabilityZone", ""), group.observed.get(key)) for key in group.targets]
    found = [(zone, seen.state if seen else "initial") for zone, seen in observed]
    yield place, Counter(state for _, state in found)
    for zone in sorted({zone for zone, _ in found if zone}):
        yield {**place, "AvailabilityZone": zone}, Counter(state for at, state in found if at == zone)


def publish(metrics: Metrics, minute: int, balancer: str, group: str, sums: Sums) -> None:
    """The sums of one minute. As on AWS nothing is published where nothing happened: no zeros."""
    whole = {"LoadBalancer": balancer}
    places: list[Place] = [whole, {**whole, "TargetGroup": group}] if group else [whole]

    def put(names: Mapping[str, float], where: list[Place]) -> None:
        for name, value in names.items():
            for dimensions in where if value else ():
                metrics.put(Metric.of(NAMESPACE, name, dimensions), minute, value, "Count")

    put({"RequestCount": sums.requests, "TargetConnectionErrorCount": sums.connection_errors}, places)
    put(_by_class("Target", sums.target_statuses), places)
    put(_by_class("ELB", sums.balancer_statuses), [whole])
    # The only answers of its own that redirect are those of redirect actions.
    put({"HTTP_Redirect_Count": sum(n for s, n in sums.balancer_statuses.items() if s // 100 == 3)}, [whole])
    put({f"HTTPCode_ELB_{code}_Count": sums.balancer_statuses[code] for code in NAMED_BALANCER_STATUSES}, [whole])
    for dimensions in places if sums.seconds else ():
        times = metrics.minute(Metric.of(NAMESPACE, "TargetResponseTime", dimensions), minute, "Seconds")
        for seconds, count in sums.seconds.items():
            times.add(seconds, count)


def _by_class(who: str, statuses: Counter[int]) -> dict[str, float]:
    found: Counter[str] = Counter()
    for status, count in statuses.items():
        found[f"HTTPCode_{who}_{status // 100}XX_Count"] += count
    return dict(found)
