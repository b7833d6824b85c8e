"""Certificates of AWS Certificate Manager."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaosctl.adapters.aws import Aws, AwsRefused

# Without naming them all, ListCertificates tells only those with RSA keys of up to 2048 bits.
KEY_TYPES = [
    "RSA_1024",
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "EC_prime256v1",
    "EC_secp384r1",
    "EC_secp521r1",
]


@dataclass(frozen=True)
class Proof:
    """The CNAME record that shows ACM whose domain it is."""

    name: str
    value: str


@dataclass(frozen=True)
class Certificate:
    """A certificate. `status` as ACM spells it; `not_after` is None until it is issued.

    `renewed` says that ACM replaces it by itself before it ends, `used` that a load balancer serves it.
    `proofs` are the records that ACM waits for.
    """

    arn: str
    domain: str
    names: tuple[str, ...]
    status: str
    not_after: datetime | None
    renewed: bool
    used: bool = False
    proofs: tuple[Proof, ...] = ()

    @property
    def issued(self) -> bool:
        """Whether a load balancer can serve it."""
        return self.status == "ISSUED"

    def covers(self, domain: str) -> bool:
        """Whether it is for that name; a wildcard stands for one label."""
        return bool({domain, "*." + domain.partition(".")[2]} & set(self.names))


def describe(aws: Aws, arn: str) -> Certificate | None:
    """The certificate, or None when this account and region have none with that ARN."""
    try:
        found = aws.call("acm", "describe_certificate", CertificateArn=arn)["Certificate"]
    except AwsRefused as error:
        if error.not_found or error.aws_code in ("ValidationException", "InvalidArnException"):
            return None
        raise
    return _certificate(found)


def tagged(aws: Aws, tags: Mapping[str, str]) -> Iterator[str]:
    """ARNs of the certificates with these tags."""
    for summary in aws.pages("acm", "list_certificates", "CertificateSummaryList", Includes={"keyTypes": KEY_TYPES}):
        arn = summary["CertificateArn"]
        held = aws.call("acm", "list_tags_for_certificate", CertificateArn=arn)["Tags"]
        if tags.items() <= {tag["Key"]: tag.get("Value", "") for tag in held}.items():
            yield arn


def served(aws: Aws, tags: Mapping[str, str]) -> list[str]:
    """Domains of the certificates with these tags that a load balancer uses.

    From the tagging API, which is one request however many certificates there are, and lags behind for new ones.
    """
    filters = [{"Key": key, "Values": [value]} for key, value in tags.items()]
    found = aws.pages(
        "resourcegroupstaggingapi",
        "get_resources",
        "ResourceTagMappingList",
        TagFilters=filters,
        ResourceTypeFilters=["acm:certificate"],
    )
    described = (describe(aws, mapping["ResourceARN"]) for mapping in found)
    return sorted({certificate.domain for certificate in described if certificate and certificate.used})


def find(aws: Aws, domain: str, tags: Mapping[str, str]) -> Certificate | None:
    """The certificate for a domain with these tags; of several one that is issued."""
    found = [certificate for arn in tagged(aws, tags) if (certificate := describe(aws, arn))]
    return max((c for c in found if c.covers(domain)), key=lambda c: c.issued, default=None)


def _certificate(found: Mapping[str, Any]) -> Certificate:
    options = found.get("DomainValidationOptions") or ()
    missing = [option["ResourceRecord"] for option in options if _unproven(option)]
    return Certificate(
        arn=found["CertificateArn"],
        domain=found.get("DomainName", ""),
        names=tuple(dict.fromkeys([found.get("DomainName", ""), *(found.get("SubjectAlternativeNames") or ())])),
        status=found["Status"],
        not_after=found.get("NotAfter"),
        renewed=found.get("RenewalEligibility") == "ELIGIBLE",
        used=bool(found.get("InUseBy")),
        proofs=tuple(dict.fromkeys(Proof(record["Name"], record["Value"]) for record in missing)),
    )


def _unproven(option: Mapping[str, Any]) -> bool:
    return "ResourceRecord" in option and option.get("ValidationStatus") != "SUCCESS"
