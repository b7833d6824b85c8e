"""What the lab's account has beside what it is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from chaosctl.adapters import acm, dns
from chaosctl.adapters.aws import Aws
from chaosctl.lab import certificate
from chaosctl.lab.pki import Authority

ENV = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        yield Aws(ENV, "us-west-2")


def test_the_names_of_load_balancers_have_one_certificate(aws: Aws) -> None:
    authority = Authority.new("test")
    arn = certificate.ensure(aws, authority)
    assert certificate.ensure(aws, authority) == arn
    held = acm.describe(aws, arn)
    assert held is not None and held.issued
    assert held.covers("web-1.us-west-2.elb.amazonaws.com")


def test_it_is_renewed_under_its_arn(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority.new("test")
    arn = certificate.ensure(aws, authority)
    before = acm.describe(aws, arn)
    monkeypatch.setattr(certificate, "RENEW_BEFORE", 2 * certificate.LIFETIME)
    monkeypatch.setattr(certificate, "LIFETIME", 1.5 * certificate.LIFETIME)
    assert certificate.ensure(aws, authority) == arn
    after = acm.describe(aws, arn)
    assert before and after and before.not_after and after.not_after and after.not_after > before.not_after


def test_a_zone_is_made_once(aws: Aws) -> None:
    for _ in range(2):
        certificate.own_zone(aws, "example.com")
    assert dns.zone(aws, "example.com")
    assert len(aws.call("route53", "list_hosted_zones")["HostedZones"]) == 1
