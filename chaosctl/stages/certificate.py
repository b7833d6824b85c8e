"""Which certificate users get: one that the settings name, one that Terraform asked ACM for, or the target's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chaosctl.adapters import acm
from chaosctl.adapters.acm import Certificate
from chaosctl.adapters.aws import Aws
from chaosctl.errors import PreconditionFailed
from chaosctl.stages.controller import tags
from chaosctl.stages.stage import Context

LATER = "arn:aws:acm:known-after-infra"
EXPIRY_WARNING = timedelta(days=30)  # ACM renews what it issued 60 days before its end: a month before, it has failed


def of_domain(context: Context, aws: Aws) -> Certificate | None:
    """The one that Terraform asked for, if it did."""
    return acm.find(aws, context.settings.tls.domain, tags(context))


def expected(context: Context, aws: Aws) -> str:
    """The ARN that `app` will use, or LATER when it is not there yet; empty without TLS."""
    wanted = context.settings.tls
    if not wanted.on:
        return ""
    if wanted.certificate_arn:
        return wanted.certificate_arn
    if not wanted.domain:
        return context.target.certificate() or LATER
    found = of_domain(context, aws)
    return found.arn if found else LATER


def require(context: Context, aws: Aws) -> str:
    """The ARN of a certificate that can be served; empty without TLS.

    Raises PreconditionFailed: TLS-NO-CERTIFICATE when there is none, TLS-NOT-ISSUED when ACM has not issued it.
    """
    wanted = context.settings.tls
    if not wanted.on:
        return ""
    if not wanted.certificate_arn and not wanted.domain:
        return context.target.certificate() or _none("[tls] is on and names neither a domain nor a certificate")
    found = acm.describe(aws, wanted.certificate_arn) if wanted.certificate_arn else of_domain(context, aws)
    if found is None:
        return _none(f"ACM in {aws.region} has none for {wanted.certificate_arn or wanted.domain}")
    if not found.issued:
        raise not_issued(found)
    return found.arn


def _none(why: str) -> str:
    raise PreconditionFailed(
        "there is no certificate for HTTPS",
        code="TLS-NO-CERTIFICATE",
        why=why,
        remedy="run `chaosctl infra`, which asks for the one of tls.domain; or name one in tls.certificate_arn",
    )


def not_issued(certificate: Certificate) -> PreconditionFailed:
    """The error for a certificate that nobody can serve yet."""
    records = [f"{proof.name} CNAME {proof.value}" for proof in certificate.proofs]
    return PreconditionFailed(
        f"the certificate for {certificate.domain} is {certificate.status}",
        code="TLS-NOT-ISSUED",
        why="\n".join(["ACM waits for this record:", *records] if records else [certificate.arn]),
        remedy="make that record where the domain's DNS is, wait some minutes, then run the same command again",
    )


def trouble(found: Certificate, now: datetime | None = None) -> str:
    """Why somebody has to look at it, in words; empty when nobody has."""
    if not found.issued:
        return f"the certificate for {found.domain} is {found.status}"
    soon = ends_soon(found.not_after, renewed=found.renewed, now=now)
    return f"the certificate for {found.domain}: {soon}" if soon else ""


def ends_soon(not_after: datetime | None, *, renewed: bool, now: datetime | None = None) -> str:
    """A warning, in words, when a certificate ends within 30 days; empty when it does not.

    `renewed`: ACM does it by itself, and should have by then.
    """
    if not_after is None:
        return ""
    left = not_after - (now or datetime.now(UTC))
    if left > EXPIRY_WARNING:
        return ""
    when = (
        f"it ends on {not_after:%Y-%m-%d}, in {left.days} days" if left > timedelta(0) else f"it ended on {not_after}"
    )
    return f"{when}{'; ACM has not renewed it' if renewed else ''}"


def renewal(*, renewed: bool) -> str:
    """What to do about one that ends soon."""
    if renewed:
        return "see in the ACM console why it cannot be renewed: mostly its validation record is gone"
    return "import its successor under the same ARN (`aws acm import-certificate --certificate-arn ...`)"
