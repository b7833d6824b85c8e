"""What the lab's account has beside what it is asked for: a certificate for the names of load balancers, and zones.

Nobody but AWS can have a certificate for *.elb.amazonaws.com; here it is of the lab's own authority.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chaosctl.adapters import acm, dns
from chaosctl.adapters.aws import Aws
from chaosctl.lab.pki import Authority, Identity, key_pem

LIFETIME = timedelta(days=395)
RENEW_BEFORE = timedelta(days=60)
MARK = {"chaosctl:lab": "load balancers"}


def ensure(aws: Aws, authority: Authority) -> str:
    """ARN of the certificate for the names of the region's load balancers, imported or renewed when that is due."""
    held = next((found for arn in acm.tagged(aws, MARK) if (found := acm.describe(aws, arn))), None)
    if held and held.not_after and held.not_after > datetime.now(UTC) + RENEW_BEFORE:
        return held.arn
    name = f"*.{aws.region}.elb.amazonaws.com"
    key = ec.generate_private_key(ec.SECP256R1())
    made = authority.certify(Identity("", name, names=(name,)), key.public_key(), LIFETIME)
    # An import under an ARN that exists keeps its tags, and must not name any.
    place = {"CertificateArn": held.arn} if held else {"Tags": [{"Key": k, "Value": v} for k, v in MARK.items()]}
    answer = aws.call(
        "acm",
        "import_certificate",
        Certificate=made.public_bytes(serialization.Encoding.PEM),
        PrivateKey=key_pem(key),
        CertificateChain=authority.pem,
        **place,
    )
    return str(answer["CertificateArn"])


def own_zone(aws: Aws, name: str) -> None:
    """Give the account the hosted zone that the settings say it has."""
    if not dns.zone(aws, name):
        aws.call("route53", "create_hosted_zone", Name=name, CallerReference=f"chaosctl-lab-{name}")
