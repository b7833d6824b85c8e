"""ACM: certificates that the lab's own authority issues, once Route 53 shows whose domain it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from moto.acm.exceptions import AWSError
from moto.acm.models import AWSCertificateManagerBackend, CertBundle
from moto.acm.responses import AWSCertificateManagerResponse
from moto.elbv2.models import elbv2_backends
from moto.route53.models import route53_backends

from chaosctl.lab.aws import issuing
from chaosctl.lab.pki import Identity, key_pem

LIFETIME = timedelta(days=395)  # ACM's 13 months
CURVES = {"EC_prime256v1": ec.SECP256R1, "EC_secp384r1": ec.SECP384R1}
AFTER_ISSUE = ("NotBefore", "NotAfter", "Serial", "Issuer", "IssuedAt", "SignatureAlgorithm")
_key_algorithm: ContextVar[str] = ContextVar("key_algorithm", default="RSA_2048")


def apply() -> None:
    """Apply all of them."""
    describe = CertBundle.describe
    request = AWSCertificateManagerResponse.request_certificate
    delete = AWSCertificateManagerBackend.delete_certificate

    def request_certificate(self: AWSCertificateManagerResponse) -> Any:
        # KeyAlgorithm was ignored: Terraform would replace the certificate on every plan.
        _key_algorithm.set(self._get_param("KeyAlgorithm") or "RSA_2048")
        return request(self)

    def delete_certificate(self: AWSCertificateManagerBackend, arn: str) -> None:
        # One that a listener used could be deleted.
        if self.get_certificate(arn).in_use_by:
            message = f"Certificate {arn} in account {self.account_id} is in use."
            raise AWSError(message, exception_type="ResourceInUseException")
        delete(self, arn)

    AWSCertificateManagerResponse.request_certificate = request_certificate
    AWSCertificateManagerBackend.delete_certificate = delete_certificate
    CertBundle.generate_cert = classmethod(_generate)
    CertBundle.check = _check
    CertBundle.describe = lambda self: _described(self, describe(self))
    # It was a list that grew with each new listener and never shrank.
    CertBundle.in_use_by = property(lambda self: list(_users(self.arn)), lambda self, value: None)


def _generate(
    cls: type[CertBundle],
    domain_name: str,
    account_id: str,
    region: str,
    sans: list[str] | None = None,
    cert_authority_arn: str | None = None,
) -> CertBundle:
    # It was self-signed, so that no client could verify it.
    authority = issuing.authority()
    key = _new_key(_key_algorithm.get())
    names = tuple(dict.fromkeys([domain_name, *(sans or ())]))
    certificate = authority.certify(Identity("", domain_name, names=names), key.public_key(), LIFETIME)
    private = cert_authority_arn is not None
    bundle = cls(
        account_id,
        certificate.public_bytes(serialization.Encoding.PEM),
        key_pem(key),
        chain=authority.pem,
        region=region,
        cert_type="PRIVATE" if private else "AMAZON_ISSUED",
        cert_status="ISSUED" if private else "PENDING_VALIDATION",
        cert_authority_arn=cert_authority_arn,
    )
    bundle.chain = authority.pem
    return bundle


def _new_key(algorithm: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm]())
    return rsa.generate_private_key(public_exponent=65537, key_size=int(algorithm.removeprefix("RSA_")))


def _check(self: CertBundle) -> None:
    # After a second every certificate counted as validated.
    if self.type == "AMAZON_ISSUED" and self.status == "PENDING_VALIDATION" and all(map(_proven, _domains(self))):
        self.status = "ISSUED"
    now = self._cert.not_valid_after_utc.now(self._cert.not_valid_after_utc.tzinfo)
    if self.status == "ISSUED" and self._cert.not_valid_after_utc <= now:
        self.status = "EXPIRED"


def _domains(bundle: CertBundle) -> list[str]:
    return list(dict.fromkeys([bundle.common_name, *bundle.sans]))


def validation_record(domain: str) -> tuple[str, str]:
    """Name and value of the CNAME record that proves a domain; a wildcard has that of the domain above it."""
    proven = domain.removeprefix("*.").lower()
    digests = [hashlib.md5(f"{part}{proven}".encode(), usedforsecurity=False).hexdigest() for part in ("name", "value")]
    return f"_{digests[0]}.{proven}.", f"_{digests[1]}.lab.acm-validations.aws."


def _proven(domain: str) -> bool:
    name, value = validation_record(domain)
    return any(
        record.type == "CNAME" and record.name.rstrip(".") == name.rstrip(".") and value.rstrip(".") in _values(record)
        for _account, _region, backend in list(route53_backends.iter_backends())
        for zone in backend.zones.values()
        if not zone.private_zone
        for record in zone.rrsets
    )


def _values(record: Any) -> list[str]:
    return [value.rstrip(".") for value in record.records or ()]


def _described(bundle: CertBundle, answer: dict[str, Any]) -> dict[str, Any]:
    found = answer["Certificate"]
    if bundle.type != "AMAZON_ISSUED":
        return answer
    # Every domain had the same record, and what only an issued certificate has was told before.
    for option in found["DomainValidationOptions"]:
        name, value = validation_record(option["DomainName"])
        option["ResourceRecord"] = {"Name": name, "Type": "CNAME", "Value": value}
        proven = bundle.status != "PENDING_VALIDATION" or _proven(option["DomainName"])
        option["ValidationStatus"] = "SUCCESS" if proven else "PENDING_VALIDATION"
    found["RenewalEligibility"] = "ELIGIBLE" if bundle.in_use_by else "INELIGIBLE"
    if bundle.status == "PENDING_VALIDATION":
        for key in AFTER_ISSUE:
            found.pop(key, None)
    return answer


def _users(arn: str) -> Iterator[str]:
    """ARNs of the load balancers that have a listener with this certificate."""
    for _account, _region, backend in list(elbv2_backends.iter_backends()):
        for balancer in list(backend.load_balancers.values()):
            if any(arn in (*one.certificates, *one.sni_certificates) for one in balancer.listeners.values()):
                yield balancer.arn
