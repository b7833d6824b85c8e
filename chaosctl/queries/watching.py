"""How the app is doing by its metrics in CloudWatch: what the dashboard shows, as numbers. Looks only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chaosctl.adapters import cloudwatch, elb
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.cloudwatch import Alarm, Statistic, dimension_of
from chaosctl.config import Settings
from chaosctl.errors import PreconditionFailed
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
    """How a figure is made: the sum of statistics, times `factor`; `zero` where none published means zero.

    With `whole`, statistics too, it is the share of their sum, in per cent; none where that is nothing.
    """

    name: str
    unit: str
    parts: tuple[tuple[str, str, str], ...]  # namespace, metric, statistic
    factor: float = 1.0
    zero: bool = False
    whole: tuple[tuple[str, str, str], ...] = ()


FAILED = ((BALANCER, "HTTPCode_Target_5XX_Count", "Sum"), (BALANCER, "HTTPCode_ELB_5XX_Count", "Sum"))
# RequestCount leaves out what found no target, which the load balancer answers with 503: as the alarm `5xx` has it.
ASKED = ((BALANCER, "RequestCount", "Sum"), (BALANCER, "HTTPCode_ELB_503_Count", "Sum"))

LINES = (
    Line("requests", "/s", ((BALANCER, "RequestCount", "Sum"),), 1 / 60, zero=True),
    Line("errors (5xx), of all requests", "%", FAILED, whole=ASKED),
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
    """Looks again and again; what does not change is asked for once. Kubernetes is not asked: it may be silent."""

    def __init__(self, context: Context) -> None:
        self._cluster, self._aws = context.settings.cluster_name, context.aws
        self._places = _places(context.settings, context.aws)

    def look(self) -> Sight:
        """Ask for all figures in one request, and for the alarms."""
        until = datetime.now(UTC).replace(second=0, microsecond=0)
        wanted = [
            Statistic(namespace, metric, self._place(namespace, metric), statistic)
            for line in LINES
            for namespace, metric, statistic in (*line.parts, *line.whole)
        ]
        found = cloudwatch.values(self._aws, wanted, minutes=MINUTES + 1, until=until)
        by_part = (dict(values) for values in found)
        figures = tuple(
            figure(line, [next(by_part) for _ in line.parts], until, whole=[next(by_part) for _ in line.whole])
            for line in LINES
        )
        return Sight(until, figures, tuple(cloudwatch.alarms(self._aws, self._cluster)))

    def _place(self, namespace: str, metric: str) -> Mapping[str, str]:
        if namespace == BALANCER:
            return self._places["targets" if metric.endswith("HostCount") else "balancer"]
        return self._places["cluster" if metric.startswith(("node_", "cluster_")) else "workload"]


Part = Mapping[datetime, float]


def figure(line: Line, parts: Sequence[Part], until: datetime, *, whole: Sequence[Part] = ()) -> Figure:
    """The values of a line for the full minutes up to `until`. Pure."""
    ends = until.timestamp()
    minutes = [datetime.fromtimestamp(ends - 60 * minute, UTC) for minute in range(MINUTES, 0, -1)]
    if line.whole:
        return Figure(line.name, line.unit, tuple(_share(parts, whole, at) for at in minutes))
    values = []
    for at in minutes:
        known = [part[at] for part in parts if at in part]
        values.append(sum(known) * line.factor if known else 0.0 if line.zero else None)
    return Figure(line.name, line.unit, tuple(values))


def _share(parts: Sequence[Part], whole: Sequence[Part], at: datetime) -> float | None:
    every = sum(part.get(at, 0.0) for part in whole)
    return 100 * sum(part.get(at, 0.0) for part in parts) / every if every else None


def _places(settings: Settings, aws: Aws) -> dict[str, dict[str, str]]:
    """The dimensions of the app's metrics; its load balancer by the tags that the controller puts on it.

    Raises PreconditionFailed (APP-MISSING).
    """
    found = next(iter(elb.load_balancers(aws, settings.cluster_name)), None)
    if found is None:
        raise PreconditionFailed(
            f"{settings.namespace}/{settings.release} has no load balancer, so nothing measures it",
            code="APP-MISSING",
            why=f"AWS knows none with the tag {elb.CLUSTER_TAG} = {settings.cluster_name}",
            remedy="run `chaosctl app`, or `chaosctl up` for everything",
        )
    balancer = {"LoadBalancer": dimension_of(found.arn)}
    groups = elb.group_arns(aws, found)
    cluster = {"ClusterName": settings.cluster_name}
    workload = {"Namespace": settings.namespace, "PodName": settings.release}
    return {
        "balancer": balancer,
        "targets": {**balancer, **({"TargetGroup": dimension_of(groups[0])} if groups else {})},
        "cluster": cluster,
        "workload": {**cluster, **workload},
    }
