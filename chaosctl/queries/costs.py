"""What a deployment costs a month on AWS, from what Terraform and Kubernetes would make and a dated table of prices."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from chaosctl.adapters import pricing
from chaosctl.adapters.aws import Aws
from chaosctl.errors import UsageProblem

SHIPPED = Path(__file__).resolve().parent.parent / "prices.toml"
PRICED = {
    "aws_eks_cluster": ("EKS control plane", "hourly", "eks_cluster"),
    "aws_nat_gateway": ("NAT gateway", "hourly", "nat_gateway"),
    "aws_eip": ("public IPv4 address", "hourly", "public_ipv4"),
    "aws_cloudwatch_dashboard": ("dashboard", "monthly", "dashboard"),
    "aws_kms_key": ("KMS key", "monthly", "kms_key"),
}
NOT_COUNTED = "traffic, requests, log volume (`chaosctl cost` does)"


@dataclass(frozen=True)
class Prices:
    """US dollars. `hourly`, `monthly`, `instances` (hourly, by type) and `usage` (a GB or unit) by name.

    `live` names those that AWS's price list gave just now, for `region`; the others are the table's.
    """

    region: str
    collected: date
    source: str
    hours_per_month: float
    hourly: Mapping[str, float]
    monthly: Mapping[str, float]
    instances: Mapping[str, float]
    usage: Mapping[str, float]
    live: tuple[str, ...] = ()

    def a_month(self, kind: str, name: str) -> float | None:
        """What one of it costs a month, or None when the table does not know it."""
        table: Mapping[str, float] = getattr(self, kind)
        price = table.get(name)
        return price if price is None or kind == "monthly" else price * self.hours_per_month


@dataclass(frozen=True)
class Item:
    """A line of the bill: `count` pieces that cost `each` dollars a month (None: not in the table)."""

    what: str
    count: float
    each: float | None

    @property
    def total(self) -> float:
        """Dollars a month; 0 for what has no price."""
        return self.count * (self.each or 0)


@dataclass(frozen=True)
class Resource:
    """Something that exists or will: a type of Terraform's, and its attributes."""

    type: str
    values: Mapping[str, Any]


def load(override: Path | None) -> Prices:
    """The table that ships with chaosctl, with what the file `override` says on top.

    Raises UsageProblem (PRICES-INVALID) when that file cannot be used.
    """
    table = tomllib.loads(SHIPPED.read_text())
    try:
        given = tomllib.loads(override.read_text()) if override else {}
        both = {
            key: {**value, **given.pop(key, {})} if isinstance(value, dict) else value for key, value in table.items()
        }
        return Prices(**{**both, **given})
    except (OSError, tomllib.TOMLDecodeError, TypeError) as error:
        raise UsageProblem(
            f"the prices in {override} cannot be read",
            code="PRICES-INVALID",
            why=str(error),
            remedy="write it like chaosctl/prices.toml: only what differs has to be in it",
        ) from error


def current(prices: Prices, aws: Aws, region: str, instances: Iterable[str]) -> Prices:
    """With what AWS's price list says now about the fixed prices and these instance types, as far as it answers."""
    kinds = {kind: pricing.instance(kind) for kind in instances}
    found = pricing.ask(aws, region, {**pricing.FIXED, **kinds})
    if not found:
        return prices
    hourly = {name: price for name, price in found.items() if name not in kinds}
    of_instances = {name: price for name, price in found.items() if name in kinds}
    return replace(
        prices,
        region=region,
        hourly={**prices.hourly, **hourly},
        instances={**prices.instances, **of_instances},
        live=tuple(found),
    )


def bill(resources: Iterable[Resource], *, balancers: int, zones: int, prices: Prices) -> list[Item]:
    """The items; load balancers face the internet with an address in each of `zones` zones."""
    every = list(resources)
    items = [_fixed(every, kind, prices) for kind in PRICED]
    items.append(Item("metrics that alarms look at", _alarmed(every), prices.a_month("monthly", "alarm")))
    disk = _disk(every)
    for group in (r.values for r in every if r.type == "aws_eks_node_group"):
        nodes = int(_first(group.get("scaling_config")).get("desired_size") or 0)
        kind = (group.get("instance_types") or ["t3.medium"])[0]
        items.append(Item(f"node {kind}", nodes, prices.a_month("instances", kind)))
        items.append(Item("GB of node disk (gp3)", nodes * disk, prices.a_month("monthly", "gp3_gb")))
    items.append(Item("load balancer", balancers, prices.a_month("hourly", "load_balancer")))
    items.append(Item("its public addresses", balancers * zones, prices.a_month("hourly", "public_ipv4")))
    return [item for item in items if item.count]


def total(items: Iterable[Item]) -> float:
    """Dollars a month, to the cent."""
    return round(sum(item.total for item in items), 2)


def _fixed(resources: list[Resource], kind: str, prices: Prices) -> Item:
    what, table, name = PRICED[kind]
    return Item(what, sum(r.type == kind for r in resources), prices.a_month(table, name))


def _alarmed(resources: list[Resource]) -> int:
    """AWS charges for each metric of an alarm: an expression has several."""
    queries = [r.values.get("metric_query") or () for r in resources if r.type == "aws_cloudwatch_metric_alarm"]
    return sum(sum(bool(query.get("metric")) for query in asked) or 1 for asked in queries)


def _disk(resources: list[Resource]) -> int:
    """GB of a node's disk, from the launch template; EKS gives 20 without one."""
    for template in (r.values for r in resources if r.type == "aws_launch_template"):
        size = _first(_first(template.get("block_device_mappings")).get("ebs")).get("volume_size")
        if size:
            return int(size)
    return 20


def _first(blocks: Any) -> Mapping[str, Any]:
    return blocks[0] if blocks else {}
