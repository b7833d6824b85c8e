from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

from chaosctl.adapters.aws import Aws
from chaosctl.adapters.pricing import FIXED, ask, instance
from chaosctl.errors import Unreachable
from chaosctl.queries import costs


def product(usage: str, *prices: str) -> str:
    """An entry of the price list, in the form that GetProducts gives it (aws_v1)."""
    dimensions = {str(n): {"unit": "Hrs", "pricePerUnit": {"USD": price}} for n, price in enumerate(prices)}
    return json.dumps(
        {
            "product": {"attributes": {"usagetype": usage, "regionCode": "us-west-2"}},
            "terms": {"OnDemand": {"SKU.TERM": {"priceDimensions": dimensions}}},
        }
    )


class PriceList(Aws):
    """Answers by service; a service without an answer cannot be reached."""

    def __init__(self, answers: dict[str, list[str]]) -> None:
        super().__init__({}, "us-east-1")
        self.answers, self.asked = answers, dict[str, dict[str, str]]()

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
        assert (service, operation, key) == ("pricing", "get_products", "PriceList")
        name = arguments["ServiceCode"]
        self.asked[name] = {f["Field"]: f["Value"] for f in arguments["Filters"]}
        if name not in self.answers:
            raise Unreachable("the AWS API does not answer", code="AWS-UNREACHABLE")
        yield from self.answers[name]


def test_the_price_of_what_was_meant_and_no_other() -> None:
    prices = {"USW2-AmazonEKS-Hours:perCluster": "0.1000000000", "USW2-AmazonEKS-Hours:extendedSupport": "0.6"}
    known = PriceList({"AmazonEKS": [product(usage, price) for usage, price in prices.items()]})
    assert ask(known, "us-west-2", {"eks_cluster": FIXED["eks_cluster"]}) == {"eks_cluster": 0.1}
    assert known.asked["AmazonEKS"]["regionCode"] == "us-west-2"


def test_tiers_that_cost_nothing_do_not_count_and_two_prices_are_none() -> None:
    free = PriceList({"AmazonVPC": [product("PublicIPv4:InUseAddress", "0.0", "0.005")]})
    assert ask(free, "us-east-1", {"public_ipv4": FIXED["public_ipv4"]}) == {"public_ipv4": 0.005}
    two = PriceList({"AmazonVPC": [product("PublicIPv4:InUseAddress", "0.004", "0.005")]})
    assert ask(two, "us-east-1", {"public_ipv4": FIXED["public_ipv4"]}) == {}


def test_another_usage_that_ends_alike_is_not_it() -> None:
    known = PriceList({"AmazonEC2": [product("USW2-UnusedBoxUsage:t3.medium", "9")]})
    assert ask(known, "us-west-2", {"t3.medium": instance("t3.medium")}) == {}


def test_what_is_not_answered_stays_the_tables() -> None:
    table = costs.load(None)
    known = PriceList({"AmazonEC2": [product("EU-BoxUsage:t3.medium", "0.0456")]})
    prices = costs.current(table, known, "eu-west-1", ["t3.medium"])
    assert (prices.region, prices.live) == ("eu-west-1", ("t3.medium",))
    assert prices.instances["t3.medium"] == 0.0456
    assert prices.hourly == table.hourly and prices.collected == table.collected > date(2026, 1, 1)


def test_nothing_changes_when_the_price_list_cannot_be_asked() -> None:
    table = costs.load(None)
    assert costs.current(table, PriceList({}), "us-west-2", ["t3.medium"]) is table
