"""Load balancers as AWS tells them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chaosctl.adapters import elb
from chaosctl.adapters.elb import LoadBalancer

BALANCER = LoadBalancer("arn:lb", "lb", "lb.example", "active", "internet-facing")
LISTENERS = [{"ListenerArn": "http"}, *({"ListenerArn": a, "Certificates": [{"CertificateArn": a}]} for a in "ab")]
CERTIFICATES = {"a": ["a", "of both"], "b": ["b", "of both"]}


class FakeAws:
    """Two HTTPS listeners and one of HTTP, which AWS refuses to list certificates of."""

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
        if key == "Listeners":
            yield from LISTENERS
        else:
            yield from ({"CertificateArn": arn} for arn in CERTIFICATES[arguments["ListenerArn"]])


def test_certificates_of_all_https_listeners_each_once() -> None:
    assert elb.certificates(FakeAws(), BALANCER) == ["a", "of both", "b"]  # type: ignore[arg-type]
