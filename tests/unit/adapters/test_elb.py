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


class Attributes:
    """A load balancer with one target group."""

    def __init__(self, of_balancer: dict[str, str]) -> None:
        self._of_balancer = of_balancer

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
        yield {
            "TargetGroupArn": "arn:group",
            "HealthCheckIntervalSeconds": 5,
            "HealthCheckTimeoutSeconds": 2,
            "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 3,
        }

    def call(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        of_group = {"deregistration_delay.timeout_seconds": "10"}
        found = self._of_balancer if operation == "describe_load_balancer_attributes" else of_group
        return {"Attributes": [{"Key": key, "Value": value} for key, value in found.items()]}


def test_a_group_tells_how_long_its_balancer_keeps_idle_connections() -> None:
    (group,) = elb.groups_behind(Attributes({"idle_timeout.timeout_seconds": "120"}), BALANCER)  # type: ignore[arg-type]
    assert (group.idle_timeout, group.deregistration_delay) == (120.0, 10.0)
    (group,) = elb.groups_behind(Attributes({}), BALANCER)  # type: ignore[arg-type]
    assert group.idle_timeout is None
