"""How the app is doing by its metrics in CloudWatch: what the dashboard shows, as numbers. Looks only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chaosctl.adapters import cloudwatch
from chaosctl.adapters.cloudwatch import Alarm, Statistic, dimension_of
from chaosctl.adapters.kube import INGRESSES
from chaosctl.errors import PreconditionFailed
from chaosctl.stages import entrance
from chaosctl.stages.access import Access
from chaosctl.stages.stage import Context

MINUTES = 15
BALANCER, INSIGHTS = "AWS/ApplicationELB", "ContainerInsights"


@dataclass(frozen=True)
class Figure:
    """One line. `values` are of the last quarter of an hour, a minute each, the oldest first; None: none published.

    `last` is that of the last minute that is over. `sum` figures are zero where nothing was published.
    """

    name: str
    unit: str
    values: tuple[float | None, ...]

    @property
    def last(self) -> float | None:
        """Of the last full minute."""
        return self.values[-1]


@dataclass(frozen=True)
class Sight:
    """One look. `until` is the end of the last full minute."""

    until: datetime
    figures: tuple[Figure, ...]
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True)
class Line:
    """How a figure is made: the sum of statistics, times `factor`; `zero` where none published means zero."""

    name: str
    unit: str
    parts: tuple[tuple[str, str, str], ...]  # namespace, metric, statistic
    factor: float = 1.0
    zero: bool = False


LINES = (
    Line("requests", "/s", ((BALANCER, "RequestCount", "Sum"),), 1 / 60, zero=True),
    Line("5xx of targets", "/min", ((BALANCER, "HTTPCode_Target_5XX_Count", "Sum"),), zero=True),
    Line("5xx of the load balancer", "/min", ((BALANCER, "HTTPCode_ELB_5XX_Count", "Sum"),), zero=True),
    Line("response time p50", "ms", ((BALANCER, "TargetResponseTime", "p50"),), 1000),
    Line("response time p95", "ms", ((BALANCER, "TargetResponseTime", "p95"),), 1000),
    Line("response time p99", "ms", ((BALANCER, "TargetResponseTime", "p99"),), 1000),
    Line("healthy targets", "", ((BALANCER, "HealthyHostCount", "Minimum"),)),
    Line("unhealthy targets", "", ((BALANCER, "UnHealthyHostCount", "Maximum"),)),
    Line("pods wanted", "", ((INSIGHTS, "replicas_desired", "Maximum"),)),
    Line("pods ready", "", ((INSIGHTS, "replicas_ready", "Minimum"),)),
    Line("restarts", "/min", ((INSIGHTS, "pod_number_of_container_restarts", "Sum"),)),
    Line("CPU of pods, of their limit", "%", ((INSIGHTS, "pod_cpu_utilization_over_pod_limit", "Maximum"),)),
    Line("memory of pods, of their limit", "%", ((INSIGHTS, "pod_memory_utilization_over_pod_limit", "Maximum"),)),
    Line("CPU of nodes", "%", ((INSIGHTS, "node_cpu_utilization", "Maximum"),)),
    Line("memory of nodes", "%", ((INSIGHTS, "node_memory_utilization", "Maximum"),)),
    Line("nodes", "", ((INSIGHTS, "cluster_node_count", "Minimum"),)),
)


class Watching:
    """Looks again and again; what does not change is asked for once."""

    def __init__(self, context: Context) -> None:
        self._cluster = context.settings.cluster_name
        self._access = Access(context)
        self._places = _places(context, self._access)

    def look(self) -> Sight:
        """Ask for all figures in one request, and for the alarms."""
        until = datetime.now(UTC).replace(second=0, microsecond=0)
        wanted = [
            Statistic(namespace, metric, self._place(namespace, metric), statistic)
            for line in LINES
            for namespace, metric, statistic in line.parts
        ]
        found = cloudwatch.values(self._access.aws, wanted, minutes=MINUTES + 1, until=until)
        by_part = iter(found)
        figures = tuple(figure(line, [dict(next(by_part)) for _ in line.parts], until) for line in LINES)
        return Sight(until, figures, tuple(cloudwatch.alarms(self._access.aws, self._cluster)))

    def _place(self, namespace: str, metric: str) -> Mapping[str, str]:
        if namespace == BALANCER:
            return self._places["targets" if metric.endswith("HostCount") else "balancer"]
        return self._places["cluster" if metric.startswith(("node_", "cluster_")) else "workload"]


def figure(line: Line, parts: Sequence[Mapping[datetime, float]], until: datetime) -> Figure:
    """The values of a line for the full minutes up to `until`. Pure."""
    ends = until.timestamp()
    values = []
    for minute in range(MINUTES, 0, -1):
        at = datetime.fromtimestamp(ends - 60 * minute, UTC)
        known = [part[at] for part in parts if at in part]
        values.append(sum(known) * line.factor if known else 0.0 if line.zero else None)
    return Figure(line.name, line.unit, tuple(values))


def _places(context: Context, access: Access) -> dict[str, dict[str, str]]:
    """The dimensions of the app's metrics. Raises PreconditionFailed (APP-MISSING)."""
    settings = context.settings
    ingress = access.kube.get(INGRESSES, settings.release, settings.namespace)
    door = entrance.entrance(access.aws, ingress) if ingress else None
    if door is None:
        raise PreconditionFailed(
            f"{settings.namespace}/{settings.release} has no load balancer, so nothing measures it",
            code="APP-MISSING",
            why="there is no such Ingress, or AWS knows no load balancer of that name",
            remedy="run `chaosctl app`, or `chaosctl up` for everything",
        )
    balancer = {"LoadBalancer": dimension_of(door.balancer.arn)}
    group = {"TargetGroup": dimension_of(door.targets[0].group)} if door.targets else {}
    cluster = {"ClusterName": settings.cluster_name}
    workload = {"Namespace": settings.namespace, "PodName": settings.release}
    return {
        "balancer": balancer,
        "targets": {**balancer, **group},
        "cluster": cluster,
        "workload": {**cluster, **workload},
    }
