"""The certificates that a load balancer serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from chaosctl.adapters import acm
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.elb import LoadBalancer

SOON_DAYS = 30  # ACM renews what it issued 60 days before its end: a month before, something is wrong


@dataclass(frozen=True)
class Certificate:
    """A certificate of ACM. `expires` is RFC 3339, empty while it is not issued; `days` are left of it."""

    arn: str
    domain: str
    status: str
    expires: str
    days: int

    @property
    def ends_soon(self) -> bool:
        """Whether somebody has to look at it."""
        return self.status != "ISSUED" or self.days < SOON_DAYS


def served(aws: Aws, balancer: LoadBalancer, now: datetime | None = None) -> list[Certificate]:
    """Those of its HTTPS listeners, the next to end first; none where it serves plain HTTP."""
    moment = now or datetime.now(UTC)
    described = (acm.describe(aws, arn) for arn in dict.fromkeys(_arns(aws, balancer)))
    return sorted((_certificate(found, moment) for found in described if found), key=lambda c: c.days)


def _arns(aws: Aws, balancer: LoadBalancer) -> Iterator[str]:
    for listener in aws.pages("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=balancer.arn):
        if listener.get("Certificates"):
            more = aws.pages(
                "elbv2", "describe_listener_certificates", "Certificates", ListenerArn=listener["ListenerArn"]
            )
            yield from (c["CertificateArn"] for c in (*listener["Certificates"], *more))


def _certificate(found: acm.Certificate, now: datetime) -> Certificate:
    end = found.not_after
    return Certificate(
        arn=found.arn,
        domain=found.domain,
        status=found.status,
        expires=end.astimezone(UTC).isoformat(timespec="seconds") if end else "",
        days=(end - now).days if end else 0,
    )
