"""The certificates of a load balancer as AWS tells them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chaosctl.adapters.certificates import served
from chaosctl.adapters.elb import LoadBalancer

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BALANCER = LoadBalancer("arn:lb", "lb", "lb.example", "active", "internet-facing")


@dataclass
class FakeAws:
    """Answers by the key of the answer, and certificates by ARN."""

    answers: Mapping[str, Any]

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
        yield from self.answers.get(key, ())

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        arn = arguments["CertificateArn"]
        return {"Certificate": {"CertificateArn": arn, **self.answers[arn]}}


def test_certificates_of_https_listeners_the_next_to_end_first() -> None:
    listener = {"ListenerArn": "arn:listener", "Certificates": [{"CertificateArn": "late"}]}
    aws = FakeAws(
        {
            "Listeners": [{"ListenerArn": "arn:http"}, listener],
            "Certificates": [{"CertificateArn": "late"}, {"CertificateArn": "soon"}],
            "late": {"DomainName": "a.org", "Status": "ISSUED", "NotAfter": datetime(2027, 11, 23, tzinfo=UTC)},
            "soon": {"DomainName": "b.org", "Status": "ISSUED", "NotAfter": datetime(2026, 12, 3, tzinfo=UTC)},
        }
    )
    soon, late = served(aws, BALANCER, NOW)  # type: ignore[arg-type]
    assert (soon.domain, soon.days, soon.ends_soon) == ("b.org", 10, True)
    assert (late.days, late.ends_soon) == (365, False)


def test_a_certificate_that_is_not_issued_needs_somebody() -> None:
    aws = FakeAws(
        {
            "Listeners": [{"ListenerArn": "l", "Certificates": [{"CertificateArn": "new"}]}],
            "new": {"DomainName": "a.org", "Status": "PENDING_VALIDATION"},
        }
    )
    (found,) = served(aws, BALANCER, NOW)  # type: ignore[arg-type]
    assert (found.expires, found.ends_soon) == ("", True)
