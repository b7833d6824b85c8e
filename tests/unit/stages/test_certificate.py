"""Which certificate users get, and what is said when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from moto import mock_aws

from chaosctl.adapters import acm
from chaosctl.adapters.acm import Certificate, Proof
from chaosctl.adapters.aws import Aws
from chaosctl.config import Settings, TlsSettings
from chaosctl.errors import PreconditionFailed
from chaosctl.events import ignore
from chaosctl.findings import Level
from chaosctl.lab.pki import Authority, Identity, key_pem
from chaosctl.stages import certificate
from chaosctl.stages.controller import tags
from chaosctl.stages.examinations import judge_certificate, judge_named
from chaosctl.stages.stage import Context
from chaosctl.target import Target

DOMAIN = "shop.example.com"
ENV = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}
NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        yield Aws(ENV, "us-west-2")


def context(tmp_path: Path, own: str = "", **tls: Any) -> Context:
    target = Target("t", "us-west-2", ENV, {}, "b", certificate=lambda: own)
    return Context(Settings(tls=TlsSettings(**tls)), target, ignore, lambda *names: {}, tmp_path)


def imported(aws: Aws, name: str, **more: str) -> str:
    made, key = Authority.new("test").issue(Identity("", name, names=(name,)))
    pem = made.public_bytes(serialization.Encoding.PEM)
    given = [{"Key": k, "Value": v} for k, v in more.items()]
    extra = {"Tags": given} if given else {}
    return str(
        aws.call("acm", "import_certificate", Certificate=pem, PrivateKey=key_pem(key), **extra)["CertificateArn"]
    )


def test_nothing_is_wanted_by_default(aws: Aws, tmp_path: Path) -> None:
    assert certificate.require(context(tmp_path), aws) == certificate.expected(context(tmp_path), aws) == ""


def test_one_that_is_named(aws: Aws, tmp_path: Path) -> None:
    arn = imported(aws, DOMAIN)
    assert certificate.require(context(tmp_path, certificate_arn=arn), aws) == arn
    with pytest.raises(PreconditionFailed) as missing:
        certificate.require(context(tmp_path, certificate_arn=arn[:-4] + "0000"), aws)
    assert missing.value.code == "TLS-NO-CERTIFICATE"


def test_that_of_a_domain_is_found_by_our_tags_and_its_names(aws: Aws, tmp_path: Path) -> None:
    ours = context(tmp_path, domain=DOMAIN)
    imported(aws, DOMAIN)
    imported(aws, "other.example.com", **tags(ours))
    assert certificate.expected(ours, aws) == certificate.LATER
    arn = imported(aws, "*.example.com", **tags(ours))
    assert certificate.require(ours, aws) == certificate.expected(ours, aws) == arn


def test_one_that_is_not_issued_is_told_with_what_acm_waits_for(aws: Aws, tmp_path: Path) -> None:
    ours = context(tmp_path, domain=DOMAIN)
    asked = [{"Key": k, "Value": v} for k, v in tags(ours).items()]
    aws.call("acm", "request_certificate", DomainName=DOMAIN, ValidationMethod="DNS", Tags=asked)
    with pytest.raises(PreconditionFailed) as pending:
        certificate.require(ours, aws)
    assert pending.value.code == "TLS-NOT-ISSUED" and f".{DOMAIN}. CNAME _" in pending.value.why


def test_the_targets_own_is_used_when_nothing_is_named(aws: Aws, tmp_path: Path) -> None:
    own = context(tmp_path, own="arn:own", enabled=True)
    assert certificate.require(own, aws) == certificate.expected(own, aws) == "arn:own"
    with pytest.raises(PreconditionFailed, match="no certificate"):
        certificate.require(context(tmp_path, enabled=True), aws)


def test_wildcards_stand_for_one_label() -> None:
    found = held(names=("*.example.com",))
    assert found.covers(DOMAIN)
    assert not found.covers("a.shop.example.com") and not found.covers("example.com")


def held(days: float = 200, status: str = "ISSUED", **more: Any) -> Certificate:
    given = {"names": (DOMAIN,), "renewed": False, **more}
    return Certificate("arn", DOMAIN, status=status, not_after=NOW + timedelta(days=days), **given)


@pytest.mark.parametrize(
    ("days", "renewed", "expected"),
    [
        (31, False, ""),
        (29.5, False, "it ends on 2026-12-22, in 29 days"),
        (29.5, True, "in 29 days; ACM has not renewed it"),
        (-1, False, "it ended on 2026-11-22"),
    ],
)
def test_its_end_is_told_thirty_days_before(days: float, renewed: bool, expected: str) -> None:
    said = certificate.ends_soon(NOW + timedelta(days=days), renewed=renewed, now=NOW)
    assert expected in said and bool(said) == bool(expected)


def test_one_without_an_end_yet_does_not_end_soon() -> None:
    assert certificate.ends_soon(None, renewed=True) == ""


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (held(), Level.OK, "until 2027"),
        (held(20), Level.WARNING, "in 20 days"),
        (held(status="EXPIRED"), Level.PROBLEM, "EXPIRED"),
        (held(status="PENDING_VALIDATION", proofs=(Proof("_1.x.", "_2."),)), Level.WARNING, "_1.x. CNAME _2."),
    ],
)
def test_what_doctor_thinks_of_it(found: Certificate, level: Level, words: str) -> None:
    finding = judge_certificate(found, NOW.date())
    assert finding.level is level and words in finding.what


def test_what_doctor_thinks_of_one_that_is_named() -> None:
    wanted = TlsSettings(domain="other.example.com", certificate_arn="arn:aws:acm:us-west-2:123456789012:certificate/1")
    (missing,) = judge_named(None, wanted, date(2026, 11, 23))
    wrong, fine = judge_named(held(), wanted, date(2026, 11, 23))
    assert (missing.level, wrong.level, fine.level) == (Level.PROBLEM, Level.PROBLEM, Level.OK)


def test_certificates_of_every_kind_of_key_are_found(aws: Aws) -> None:
    arn = imported(aws, DOMAIN, owner="me")
    assert list(acm.tagged(aws, {"owner": "me"})) == [arn]
    assert list(acm.tagged(aws, {"owner": "you"})) == []
