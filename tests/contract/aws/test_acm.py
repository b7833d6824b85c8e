"""Certificates of the lab's ACM: proven through Route 53, issued by the lab's authority."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from chaosctl.adapters.acm import served
from chaosctl.lab.aws import issuing
from tests.contract.aws.conftest import Lab, Network

DOMAIN = "shop.example.com"


@pytest.fixture
def arn(lab: Lab) -> str:
    acm = lab.client("acm")
    asked = acm.request_certificate(DomainName=DOMAIN, ValidationMethod="DNS", KeyAlgorithm="EC_prime256v1")
    return str(asked["CertificateArn"])


def described(lab: Lab, arn: str) -> dict[str, Any]:
    return dict(lab.client("acm").describe_certificate(CertificateArn=arn)["Certificate"])


def prove(lab: Lab, arn: str, *, value: str = "", private: bool = False) -> None:
    route53 = lab.client("route53")
    vpc = {"VPC": {"VPCRegion": "us-west-2", "VPCId": "vpc-1"}} if private else {}
    config = {"PrivateZone": private}
    made = route53.create_hosted_zone(Name="example.com", CallerReference="1", HostedZoneConfig=config, **vpc)
    wanted = described(lab, arn)["DomainValidationOptions"][0]["ResourceRecord"]
    records = [{"Value": value or wanted["Value"]}]
    record = {"Name": wanted["Name"], "Type": "CNAME", "TTL": 60, "ResourceRecords": records}
    change = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    route53.change_resource_record_sets(HostedZoneId=made["HostedZone"]["Id"], ChangeBatch=change)


def test_a_certificate_waits_for_its_proof(lab: Lab, arn: str) -> None:
    pending = described(lab, arn)
    assert (pending["Status"], pending["KeyAlgorithm"]) == ("PENDING_VALIDATION", "EC_prime256v1")
    assert "NotAfter" not in pending
    prove(lab, arn)
    issued = described(lab, arn)
    assert (issued["Status"], issued["DomainValidationOptions"][0]["ValidationStatus"]) == ("ISSUED", "SUCCESS")
    assert 390 < (issued["NotAfter"] - issued["NotBefore"]).days < 400


@pytest.mark.parametrize("wrong", [{"value": "_somebody.else."}, {"private": True}])
def test_what_is_no_proof(lab: Lab, arn: str, wrong: Any) -> None:
    prove(lab, arn, **wrong)
    assert described(lab, arn)["Status"] == "PENDING_VALIDATION"


def test_clients_that_trust_the_authority_accept_it(lab: Lab, arn: str) -> None:
    prove(lab, arn)
    answer = lab.client("acm").get_certificate(CertificateArn=arn)
    leaf = x509.load_pem_x509_certificate(answer["Certificate"].encode())
    (authority,) = x509.load_pem_x509_certificates(answer["CertificateChain"].encode())
    assert authority == issuing.authority().certificate
    PolicyBuilder().store(Store([authority])).build_server_verifier(x509.DNSName(DOMAIN)).verify(leaf, [])


def test_one_in_use_cannot_be_deleted(lab: Lab, arn: str, network: Network) -> None:
    prove(lab, arn)
    elbv2, acm = lab.client("elbv2"), lab.client("acm")
    own = lab.aws
    balancer = elbv2.create_load_balancer(Name="web", Subnets=network.subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    fixed = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    given = {"Protocol": "HTTPS", "Port": 443, "Certificates": [{"CertificateArn": arn}], "DefaultActions": fixed}
    elbv2.create_listener(LoadBalancerArn=balancer, **given)
    assert (described(lab, arn)["InUseBy"], described(lab, arn)["RenewalEligibility"]) == ([balancer], "ELIGIBLE")
    with pytest.raises(ClientError, match="ResourceInUseException"):
        acm.delete_certificate(CertificateArn=arn)
    acm.add_tags_to_certificate(CertificateArn=arn, Tags=[{"Key": "owner", "Value": "me"}])
    assert served(own, {"owner": "me"}) == [DOMAIN]
    elbv2.delete_load_balancer(LoadBalancerArn=balancer)
    assert served(own, {"owner": "me"}) == []
    acm.delete_certificate(CertificateArn=arn)
