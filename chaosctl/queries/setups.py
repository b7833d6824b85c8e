"""The set-ups that `cost` compares: what Terraform makes of their settings, what is used besides, what they trade."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaosctl.config import InfraSettings
from chaosctl.queries.costs import Item, Prices, Resource, bill

BALANCERS = 1  # one Ingress
DISK_GIB = InfraSettings().node_disk_gib  # for the trade-offs
INSIGHTS_METRICS = 6  # that alarms look at with infra.container_insights only
FREE_OUT_GB = 100  # a month and account, out to the internet
# What Terraform makes besides, whatever the settings are; of alarms the metrics. A contract test counts it.
ALWAYS = {"aws_eks_cluster": 1, "aws_kms_key": 3, "aws_cloudwatch_dashboard": 1, "aws_cloudwatch_metric_alarm": 13}
# What Container Insights observes each minute, counted in AWS's list of its metrics for EKS (enhanced observability).
OBSERVED = {"cluster": 50, "node": 24, "pod": 36, "container": 8}
APP_PODS, SYSTEM_PODS = 3, 7  # two each of CoreDNS, metrics-server and the ALB controller; the add-on's own controller
PODS_OF_NODE = 5  # VPC CNI (of two containers), kube-proxy, Pod Identity, CloudWatch agent, Fluent Bit


@dataclass(frozen=True)
class Usage:
    """What is used in a month, which no plan tells: GB, and the load balancer's capacity units on average.

    `observations` are millions of Container Insights'; None: estimated from nodes and pods.
    """

    logs_gb: float = 10
    nat_gb: float = 10
    users_gb: float = 10
    capacity_units: float = 1
    observations: float | None = None


@dataclass(frozen=True)
class Setup:
    """A set-up by its settings."""

    name: str
    infra: InfraSettings


@dataclass(frozen=True)
class Bill:
    """What a set-up costs a month: what stands there, and what the assumed usage adds."""

    setup: Setup
    fixed: Sequence[Item]
    used: Sequence[Item]


SMALL = Setup("small", InfraSettings())
HIGHLY_AVAILABLE = Setup(
    "highly available",
    InfraSettings(az_count=3, single_nat_gateway=False, node_min_size=3, node_desired_size=3, node_max_size=6),
)


def setups(configured: InfraSettings) -> list[Setup]:
    """The two, and the one in the settings when it is neither."""
    shown = [SMALL, HIGHLY_AVAILABLE]
    return shown if configured in [s.infra for s in shown] else [*shown, Setup("as configured", configured)]


def priced(setup: Setup, usage: Usage, prices: Prices) -> Bill:
    """What it costs a month by this table of prices."""
    return Bill(setup, fixed(setup.infra, prices), list(_used(setup.infra, usage, prices)))


def fixed(infra: InfraSettings, prices: Prices, *, nodes: int | None = None) -> list[Item]:
    """What costs money by merely existing; with another number of nodes than at first, when told."""
    return bill(resources(infra, nodes=nodes), balancers=BALANCERS, zones=infra.az_count, prices=prices)


def resources(infra: InfraSettings, *, nodes: int | None = None) -> list[Resource]:
    """What Terraform makes of these settings, as far as it costs money."""
    gateways = 1 if infra.single_nat_gateway else infra.az_count
    group = {
        "scaling_config": [{"desired_size": infra.node_desired_size if nodes is None else nodes}],
        "instance_types": infra.node_instance_types,
    }
    disk = {"block_device_mappings": [{"ebs": [{"volume_size": infra.node_disk_gib}]}]}
    always = dict(ALWAYS)
    if not infra.container_insights:
        always["aws_cloudwatch_metric_alarm"] -= INSIGHTS_METRICS
    return [
        *(Resource(kind, {}) for kind, count in always.items() for _ in range(count)),
        *[Resource("aws_nat_gateway", {}), Resource("aws_eip", {})] * gateways,
        Resource("aws_launch_template", disk),
        Resource("aws_eks_node_group", group),
    ]


def _used(infra: InfraSettings, usage: Usage, prices: Prices) -> Iterator[Item]:
    price = prices.usage
    # With one gateway, what nodes of the other zones send through it crosses zones.
    crossing = usage.nat_gb * (infra.az_count - 1) / infra.az_count if infra.single_nat_gateway else 0
    yield Item("GB of logs written", usage.logs_gb, price["logs_ingested"])
    yield Item("GB of logs kept", usage.logs_gb, price["logs_stored"])
    yield Item("GB through NAT", usage.nat_gb, price["nat_processed"])
    yield Item("GB of it between zones", round(crossing, 1), price["between_zones"])
    observed = _observations(infra, prices) if usage.observations is None else usage.observations
    how = " (estimate)" if usage.observations is None else ""
    yield Item(f"million observations{how}", round(observed, 1), price["observations"])
    yield Item(
        "load balancer capacity unit", usage.capacity_units, price["capacity_unit_hour"] * prices.hours_per_month
    )
    yield Item("GB to users, beyond the free", max(0, usage.users_gb - FREE_OUT_GB), price["out_to_users"])


def _observations(infra: InfraSettings, prices: Prices) -> float:
    """Millions a month, with the app at its smallest: each kind of thing has so many metrics a minute."""
    if not infra.container_insights:
        return 0.0
    nodes = infra.node_desired_size
    pods = APP_PODS + SYSTEM_PODS + PODS_OF_NODE * nodes
    counts = {"cluster": 1, "node": nodes, "pod": pods, "container": pods + nodes}
    a_minute = sum(OBSERVED[kind] * count for kind, count in counts.items())
    return a_minute * 60 * prices.hours_per_month / 1e6


@dataclass(frozen=True)
class TradeOff:
    """A choice, what the dearer side of it costs more a month, and what that buys."""

    choice: str
    dollars: float
    buys: str


def trade_offs(prices: Prices) -> list[TradeOff]:
    """The choices that change the bill, for the default instance type."""
    gateway = _a_month(prices, "nat_gateway") + _a_month(prices, "public_ipv4")
    node = (prices.a_month("instances", "t3.medium") or 0) + DISK_GIB * prices.monthly["gp3_gb"]
    zone = _a_month(prices, "public_ipv4")
    balancer = _a_month(prices, "load_balancer") + 2 * _a_month(prices, "public_ipv4")
    return [
        TradeOff(
            "a NAT gateway in each zone (single_nat_gateway = false), for each zone beyond the first",
            gateway,
            "with one gateway, the loss of its zone cuts all nodes off from AWS and from image registries: pods that "
            "run go on serving, new nodes and new images cannot be had. Paying for traffic between zones ends too",
        ),
        TradeOff(
            "a third node (node_desired_size = 3)",
            node,
            "of two nodes, one lost is half of the capacity, and the other must take all pods; of three, a third",
        ),
        TradeOff(
            "a third zone (az_count = 3), without its node and gateway",
            zone,
            "the app survives a zone with two thirds of its capacity, not half; etcd of EKS is in three zones anyway",
        ),
        TradeOff(
            "the load balancer",
            balancer,
            "TLS, health checks, readiness gates. Several Ingresses of one group share one; a Service of type NodePort "
            "would be free, and would have none of that",
        ),
        TradeOff(
            "EKS instead of a control plane of one's own",
            _a_month(prices, "eks_cluster"),
            "API servers and etcd in three zones that someone else replaces at night. Extended support, at six times "
            "the price, is off: EKS upgrades a version by itself when it ends, and `chaosctl doctor` warns before",
        ),
        TradeOff(
            "10 GB of logs a month, kept for 30 days",
            10 * (prices.usage["logs_ingested"] + prices.usage["logs_stored"]),
            "writing is dear, keeping is not: log_retention_days hardly changes the bill, saying less does. VPC flow "
            "logs and the audit log are most of it where traffic is low",
        ),
        TradeOff(
            "KMS keys of our own for secrets, logs and alarms",
            ALWAYS["aws_kms_key"] * _a_month(prices, "kms_key", "monthly"),
            "what is encrypted with them can be read by those only who may use the key, and each use is logged",
        ),
    ]


def _a_month(prices: Prices, name: str, kind: str = "hourly") -> float:
    return prices.a_month(kind, name) or 0
