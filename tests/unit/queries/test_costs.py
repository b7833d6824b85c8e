from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from chaosctl.errors import UsageProblem
from chaosctl.queries.costs import Item, Resource, bill, load, total


def resources(nodes: int, gateways: int) -> list[Resource]:
    disk = {"block_device_mappings": [{"ebs": [{"volume_size": 20}]}]}
    group = {"scaling_config": [{"desired_size": nodes}], "instance_types": ["t3.medium"]}
    each = [Resource("aws_nat_gateway", {}), Resource("aws_eip", {})] * gateways
    cluster = [Resource("aws_eks_cluster", {}), Resource("aws_launch_template", disk), Resource("aws_vpc", {})]
    return [*cluster, Resource("aws_eks_node_group", group), *each]


@pytest.mark.parametrize(("nodes", "gateways", "dollars"), [(2, 1, 197), (3, 2, 266)])
def test_the_published_examples(nodes: int, gateways: int, dollars: int) -> None:
    items = bill(resources(nodes, gateways), balancers=1, zones=2, prices=load(None))
    assert round(total(items)) == dollars


def test_nothing_costs_nothing() -> None:
    assert bill([], balancers=0, zones=2, prices=load(None)) == []


def test_an_unknown_instance_type_has_no_price() -> None:
    group = Resource("aws_eks_node_group", {"scaling_config": [{"desired_size": 1}], "instance_types": ["x9.huge"]})
    assert Item("node x9.huge", 1, None) in bill([group], balancers=0, zones=2, prices=load(None))


def test_the_users_prices_win(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('region = "eu-central-1"\ncollected = 2026-12-01\n[hourly]\nnat_gateway = 1\n')
    prices = load(file)
    assert (prices.region, prices.collected) == ("eu-central-1", date(2026, 12, 1))
    assert (prices.hourly["nat_gateway"], prices.hourly["eks_cluster"]) == (1, 0.10)


@pytest.mark.parametrize("text", ["no toml", "unknown = 1", "hourly = 3"])
def test_prices_that_make_no_sense(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(UsageProblem) as failure:
        load(file)
    assert failure.value.code == "PRICES-INVALID"
