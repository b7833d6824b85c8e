"""AWS's price list: what things cost on demand now. Asked for a few prices; whoever asks has a table for the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from chaosctl.adapters.aws import Aws
from chaosctl.errors import ChaosctlError

REGION = "us-east-1"  # where the price list is answered for every region


@dataclass(frozen=True)
class Question:
    """Which product: a service, its attributes, and how the name of its usage ends (the region comes before)."""

    service: str
    attributes: Mapping[str, str]
    usage: str


def instance(kind: str) -> Question:
    """A Linux instance, shared and on demand."""
    attributes = {
        "instanceType": kind,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    return Question("AmazonEC2", attributes, f"BoxUsage:{kind}")


FIXED = {
    "eks_cluster": Question("AmazonEKS", {"productFamily": "Compute"}, "AmazonEKS-Hours:perCluster"),
    "nat_gateway": Question("AmazonEC2", {"productFamily": "NAT Gateway"}, "NatGateway-Hours"),
    "load_balancer": Question("AWSELB", {"productFamily": "Load Balancer-Application"}, "LoadBalancerUsage"),
    "public_ipv4": Question("AmazonVPC", {"group": "VPCPublicIPv4Address"}, "PublicIPv4:InUseAddress"),
}


def ask(aws: Aws, region: str, questions: Mapping[str, Question]) -> dict[str, float]:
    """Dollars an hour by name. A product that is not found, or not exactly once, is left out. Raises nothing.

    Empty when the price list cannot be asked: no network, no right to (pricing:GetProducts).
    """
    with ThreadPoolExecutor(max_workers=len(questions) or 1) as pool:
        answers = pool.map(lambda question: _price(aws, region, question), questions.values())
        return {name: price for name, price in zip(questions, answers, strict=True) if price is not None}


def _price(aws: Aws, region: str, question: Question) -> float | None:
    wanted = {"regionCode": region, **question.attributes}
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    try:
        listed = aws.pages("pricing", "get_products", "PriceList", ServiceCode=question.service, Filters=filters)
        found = {price for text in listed for price in _on_demand(json.loads(text), question.usage)}
    except (ChaosctlError, ValueError, KeyError):
        return None
    return found.pop() if len(found) == 1 else None


def _on_demand(product: Mapping[str, Any], usage: str) -> Iterator[float]:
    """The prices of a product that are not zero, if its usage is the one that was meant."""
    name = product["product"]["attributes"].get("usagetype", "")
    if name != usage and not name.endswith(f"-{usage}"):
        return
    for term in product["terms"]["OnDemand"].values():
        for dimension in term["priceDimensions"].values():
            price = float(dimension["pricePerUnit"]["USD"])
            if price:
                yield price
