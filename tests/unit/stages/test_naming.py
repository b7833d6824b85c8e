"""The app's name in Route 53: made once, marked, never taken from somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from chaosctl.adapters import dns
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.elb import LoadBalancer
from chaosctl.config import Settings, TlsSettings
from chaosctl.errors import PreconditionFailed
from chaosctl.events import ignore
from chaosctl.stages import naming
from chaosctl.stages.stage import Context
from chaosctl.target import Target

ENV = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}
DOMAIN = "shop.example.com"
FIRST = LoadBalancer("arn", "a", "Web-1.us-west-2.elb.amazonaws.com", "active", "internet-facing", zone_id="Z1")
SECOND = LoadBalancer("arn", "b", "web-2.us-west-2.elb.amazonaws.com", "active", "internet-facing", zone_id="Z1")


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        yield Aws(ENV, "us-west-2")


@pytest.fixture
def zone(aws: Aws) -> str:
    aws.call("route53", "create_hosted_zone", Name="b.example.com", CallerReference="1")
    aws.call("route53", "create_hosted_zone", Name="example.com", CallerReference="2")
    return dns.zone(aws, "example.com")


def context(tmp_path: Path, zone: str = "example.com", environment: str = "default") -> Context:
    settings = Settings(environment=environment, tls=TlsSettings(domain=DOMAIN, zone=zone))
    return Context(settings, Target("t", "us-west-2", ENV, {}, "b"), ignore, lambda *names: {}, tmp_path)


def test_the_name_follows_the_load_balancer(aws: Aws, zone: str, tmp_path: Path) -> None:
    ours = context(tmp_path)
    assert naming.lacks(ours, aws, FIRST) == f"{DOMAIN} leads nowhere"
    assert naming.point(ours, aws, FIRST)
    assert naming.lacks(ours, aws, FIRST) == ""
    assert not naming.point(ours, aws, FIRST)
    assert naming.point(ours, aws, SECOND)
    assert dns.address(aws, zone, DOMAIN).target == SECOND.dns_name


def test_it_is_removed_with_its_mark(aws: Aws, zone: str, tmp_path: Path) -> None:
    ours = context(tmp_path)
    before = aws.call("route53", "list_resource_record_sets", HostedZoneId=zone)["ResourceRecordSets"]
    naming.point(ours, aws, FIRST)
    assert [item.id for item in naming.leftovers(ours, aws)] == [DOMAIN]
    assert naming.remove(ours, aws, "", DOMAIN, DOMAIN)
    assert not naming.remove(ours, aws, DOMAIN)
    assert aws.call("route53", "list_resource_record_sets", HostedZoneId=zone)["ResourceRecordSets"] == before


@pytest.mark.parametrize("marked", [False, True])
def test_somebody_elses_name_is_not_taken_and_not_removed(aws: Aws, zone: str, tmp_path: Path, marked: bool) -> None:
    if marked:
        naming.point(context(tmp_path, environment="staging"), aws, FIRST)
    else:
        record = {"Name": DOMAIN, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "elsewhere.example.org"}]}
        change = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
        aws.call("route53", "change_resource_record_sets", HostedZoneId=zone, ChangeBatch=change)
    with pytest.raises(PreconditionFailed) as taken:
        naming.point(context(tmp_path), aws, SECOND)
    assert taken.value.code == "TLS-NAME-TAKEN"
    assert not naming.remove(context(tmp_path), aws, DOMAIN)
    assert dns.address(aws, zone, DOMAIN).target


def test_a_zone_that_is_not_there(aws: Aws, tmp_path: Path) -> None:
    with pytest.raises(PreconditionFailed) as missing:
        naming.point(context(tmp_path), aws, FIRST)
    assert missing.value.code == "TLS-NO-ZONE"
    assert naming.leftovers(context(tmp_path), aws) == []


def test_without_a_zone_of_ours_nothing_is_touched(aws: Aws, tmp_path: Path) -> None:
    assert not naming.point(context(tmp_path, zone=""), aws, FIRST)
    assert naming.lacks(context(tmp_path, zone=""), aws, FIRST) == ""


def test_a_name_that_is_no_longer_in_the_settings_is_removed_too(aws: Aws, zone: str, tmp_path: Path) -> None:
    naming.point(context(tmp_path), aws, FIRST)
    later = Context(Settings(), Target("t", "us-west-2", ENV, {}, "b"), ignore, lambda *names: {}, tmp_path)
    assert naming.remove(later, aws, DOMAIN)
    assert dns.address(aws, zone, DOMAIN).target == ""


def test_the_nearest_zone_holds_a_name(aws: Aws, zone: str) -> None:
    assert dns.zone_of(aws, "a.b.example.com") == dns.zone(aws, "b.example.com")
    assert dns.zone_of(aws, "x.ab.example.com") == zone
    assert dns.zone_of(aws, "example.org") == ""
