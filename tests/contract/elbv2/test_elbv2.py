"""elbv2 as AWS does it: one test for each thing that plain moto gets wrong."""

from __future__ import annotations

import pickle
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization
from moto.elbv2.models import elbv2_backends

from chaosctl.lab.aws.elbv2 import Elbv2View
from chaosctl.lab.pki import Authority, Identity, key_pem
from tests.contract.elbv2.conftest import World

FIRST, SECOND = ("10.0.0.10", 8080), ("10.0.0.10", 9090)


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=code)


def test_a_new_target_is_initial(world: World) -> None:
    world.register(FIRST)
    (health,) = world.health()
    assert health["TargetHealth"]["Reason"] == "Elb.RegistrationInProgress"
    assert health["HealthCheckPort"] == "8080"


def test_two_ports_of_one_address_are_two_targets_with_their_zone(world: World) -> None:
    world.register(FIRST, SECOND)
    assert [h["Target"]["AvailabilityZone"] for h in world.health()] == ["us-west-2a", "us-west-2a"]
    assert set(world.states()) == {FIRST, SECOND}


def test_what_was_observed_is_told(world: World, view: Elbv2View) -> None:
    world.register(FIRST, SECOND)
    words = "Health checks failed with these codes: [503]"
    view.target_observed(world.group, *FIRST, "healthy")
    view.target_observed(world.group, *SECOND, "unhealthy", "Target.ResponseCodeMismatch", words)
    assert world.states() == {FIRST: "healthy", SECOND: "unhealthy"}
    assert world.health(SECOND)[0]["TargetHealth"]["Description"] == words


def test_a_deregistered_target_drains_until_its_delay_is_over(world: World, view: Elbv2View) -> None:
    world.register(FIRST)
    world.deregister(*FIRST)
    assert world.states() == {FIRST: "draining"}
    assert view.target_groups()[0].targets[0].deregistered_at is not None
    view.target_drained(world.group, *FIRST)
    assert world.states() == {}
    assert world.health(FIRST)[0]["TargetHealth"]["Reason"] == "Target.NotRegistered"


def test_a_delay_of_zero_drains_at_once(world: World, view: Elbv2View) -> None:
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}]
    world.elbv2.modify_target_group_attributes(TargetGroupArn=world.group, Attributes=delay)
    world.register(FIRST)
    world.deregister(*FIRST)
    assert world.states() == {}
    assert view.target_groups()[0].targets == ()


def test_a_target_that_comes_back_starts_anew(world: World, view: Elbv2View) -> None:
    world.register(FIRST)
    view.target_observed(world.group, *FIRST, "healthy")
    world.deregister(*FIRST)
    world.register(FIRST)
    assert world.states() == {FIRST: "initial"}


def test_deregistering_an_unknown_target_is_no_error(world: World) -> None:
    world.deregister(*FIRST)


def test_targets_of_a_group_without_listener_are_unused(world: World) -> None:
    world.register(FIRST)
    world.elbv2.delete_listener(ListenerArn=world.listener)
    assert world.health()[0]["TargetHealth"]["Reason"] == "Target.NotInUse"


def test_a_load_balancer_is_provisioning_until_it_was_observed(world: World, view: Elbv2View) -> None:
    def state() -> Any:
        return world.elbv2.describe_load_balancers(LoadBalancerArns=[world.balancer])["LoadBalancers"][0]["State"]

    assert state() == {"Code": "provisioning"}
    view.load_balancer_observed(world.balancer, "failed", "port 80 is in use")
    assert state() == {"Code": "failed", "Reason": "port 80 is in use"}
    view.load_balancer_observed(world.balancer, "active")
    assert state() == {"Code": "active"}


def test_names_are_unique_and_repeating_a_request_does_no_harm(world: World) -> None:
    assert world.create_balancer("web")["LoadBalancerArn"] == world.balancer
    with refused("DuplicateLoadBalancerName"):
        world.create_balancer("web", Scheme="internal")


def test_network_load_balancers_say_so_in_their_arn(world: World) -> None:
    made = world.create_balancer("nlb", Type="network", Subnets=world.subnets[:1], Tags=[{"Key": "a", "Value": "b"}])
    assert ":loadbalancer/net/nlb/" in made["LoadBalancerArn"]
    tags = world.elbv2.describe_tags(ResourceArns=[made["LoadBalancerArn"]])["TagDescriptions"][0]["Tags"]
    assert tags == [{"Key": "a", "Value": "b"}]


def test_priorities_can_be_swapped_but_not_shared(world: World) -> None:
    first, second = world.rule(1)["RuleArn"], world.rule(2)["RuleArn"]
    swapped = [{"RuleArn": first, "Priority": 2}, {"RuleArn": second, "Priority": 1}]
    world.elbv2.set_rule_priorities(RulePriorities=swapped)
    rules = world.elbv2.describe_rules(ListenerArn=world.listener)["Rules"]
    assert [(r["RuleArn"], r["Priority"]) for r in rules[:2]] == [(second, "1"), (first, "2")]
    with refused("PriorityInUse"):
        world.elbv2.set_rule_priorities(RulePriorities=[{"RuleArn": first, "Priority": 1}])


def test_rules_keep_regular_expressions_and_transforms(world: World) -> None:
    regex = [{"Field": "host-header", "HostHeaderConfig": {"RegexValues": ["^a"]}}]
    rewrite = [{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/t", "Replace": "/u"}]}}]
    made = world.rule(1, Conditions=regex, Transforms=rewrite)
    assert made["Conditions"] == regex
    assert made["Transforms"] == rewrite
    reset = world.elbv2.modify_rule(RuleArn=made["RuleArn"], ResetTransforms=True)["Rules"][0]
    assert not reset.get("Transforms")


def test_listeners_tell_only_their_default_certificate_and_keep_the_others(world: World, view: Elbv2View) -> None:
    first, second = imported("a.io"), imported("b.io")
    listener = world.listen(443, Protocol="HTTPS", Certificates=[{"CertificateArn": first}])
    world.elbv2.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": second}])
    world.elbv2.modify_listener(ListenerArn=listener, Certificates=[{"CertificateArn": first}])
    told = world.elbv2.describe_listeners(ListenerArns=[listener])["Listeners"][0]["Certificates"]
    assert told == [{"CertificateArn": first}]
    assert len(world.elbv2.describe_listener_certificates(ListenerArn=listener)["Certificates"]) == 2
    pems = next(found for found in view.load_balancers()[0].listeners if found.port == 443).certificates
    assert [pem.count("PRIVATE KEY-----") for pem in pems] == [2, 2]


def imported(name: str) -> str:
    """ARN of a certificate that somebody imported."""
    made, key = Authority.new("test").issue(Identity("", name, names=(name,)))
    pem = made.public_bytes(serialization.Encoding.PEM)
    return str(boto3.client("acm").import_certificate(Certificate=pem, PrivateKey=key_pem(key))["CertificateArn"])


def test_a_certificate_that_is_not_issued_cannot_be_served(world: World) -> None:
    pending = boto3.client("acm").request_certificate(DomainName="a.io", ValidationMethod="DNS")["CertificateArn"]
    with refused("UnsupportedCertificate"):
        world.listen(443, Protocol="HTTPS", Certificates=[{"CertificateArn": pending}])
    with refused("CertificateNotFound"):
        world.listen(443, Protocol="HTTPS", Certificates=[{"CertificateArn": pending[:-4] + "0000"}])
    with refused("CertificateNotFound"):
        world.listen(443, Protocol="HTTPS")


def test_a_security_policy_is_known_and_told(world: World, view: Elbv2View) -> None:
    certificate = {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": imported("a.io")}]}
    with refused("SSLPolicyNotFound"):
        world.listen(443, SslPolicy="ELBSecurityPolicy-Mine", **certificate)
    world.listen(443, SslPolicy="ELBSecurityPolicy-TLS13-1-3-2021-06", **certificate)
    tls = next(found for found in view.load_balancers()[0].listeners if found.port == 443).tls
    assert tls is not None and tls.protocols == ("TLSv1.3",)
    assert view.load_balancers()[0].listeners[0].tls is None


def test_listener_attributes_are_those_of_application_load_balancers(world: World, view: Elbv2View) -> None:
    key = "routing.http.response.strict_transport_security.header_value"
    told = world.elbv2.describe_listener_attributes(ListenerArn=world.listener)["Attributes"]
    assert {item["Key"]: item["Value"] for item in told}[key] == ""
    hsts = [{"Key": key, "Value": "max-age=60"}]
    world.elbv2.modify_listener_attributes(ListenerArn=world.listener, Attributes=hsts)
    assert view.load_balancers()[0].listeners[0].attributes[key] == "max-age=60"
    with refused("InvalidConfigurationRequest"):
        world.elbv2.modify_listener_attributes(
            ListenerArn=world.listener, Attributes=[{"Key": "tcp.idle_timeout.seconds", "Value": "60"}]
        )


def test_names_that_are_aliases_of_load_balancers(world: World, view: Elbv2View) -> None:
    route53 = boto3.client("route53")
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]
    target = {
        "HostedZoneId": "Z1",
        "DNSName": "dualstack.Web-1.us-west-2.elb.amazonaws.com",
        "EvaluateTargetHealth": True,
    }
    records = [
        {"Name": "shop.example.com", "Type": "A", "AliasTarget": target},
        {"Name": "other.example.com", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]},
    ]
    changes = [{"Action": "CREATE", "ResourceRecordSet": record} for record in records]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    assert view.aliases() == {"shop.example.com": "web-1.us-west-2.elb.amazonaws.com"}


def test_two_listeners_cannot_share_a_port(world: World) -> None:
    with refused("DuplicateListener"):
        world.listen(80)


def test_attributes_have_awss_defaults_and_new_keys_are_taken(world: World) -> None:
    new = [{"Key": "routing.http.something.new", "Value": "1"}]
    told = world.elbv2.modify_load_balancer_attributes(LoadBalancerArn=world.balancer, Attributes=new)["Attributes"]
    attributes = {entry["Key"]: entry["Value"] for entry in told}
    assert attributes["idle_timeout.timeout_seconds"] == "60"
    assert attributes["client_keep_alive.seconds"] == "3600"
    assert attributes["routing.http.something.new"] == "1"


def test_changing_one_attribute_of_a_target_group_tells_all(world: World) -> None:
    one = [{"Key": "deregistration_delay.timeout_seconds", "Value": "30"}]
    told = world.elbv2.modify_target_group_attributes(TargetGroupArn=world.group, Attributes=one)["Attributes"]
    assert {"Key": "load_balancing.algorithm.type", "Value": "round_robin"} in told


def test_deletion_protection_protects(world: World) -> None:
    protect = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    world.elbv2.modify_load_balancer_attributes(LoadBalancerArn=world.balancer, Attributes=protect)
    with refused("OperationNotPermitted"):
        world.elbv2.delete_load_balancer(LoadBalancerArn=world.balancer)


def test_a_load_balancers_interfaces_hold_its_subnets_and_security_groups(world: World) -> None:
    mine = [{"Name": "description", "Values": ["ELB app/web/*"]}, {"Name": "vpc-id", "Values": [world.vpc]}]
    interfaces = world.ec2.describe_network_interfaces(Filters=mine)["NetworkInterfaces"]
    assert [eni["SubnetId"] for eni in interfaces] == world.subnets
    assert all(eni["RequesterManaged"] and eni["Status"] == "in-use" for eni in interfaces)
    with refused("DependencyViolation"):
        world.ec2.delete_subnet(SubnetId=world.subnets[0])
    with refused("DependencyViolation"):
        world.ec2.delete_security_group(GroupId=world.security_group)
    with refused("OperationNotPermitted"):
        world.ec2.delete_network_interface(NetworkInterfaceId=interfaces[0]["NetworkInterfaceId"])


def test_deleting_a_load_balancer_frees_everything(world: World) -> None:
    world.elbv2.delete_load_balancer(LoadBalancerArn=world.balancer)
    group = world.elbv2.describe_target_groups(TargetGroupArns=[world.group])["TargetGroups"][0]
    assert group["LoadBalancerArns"] == []
    world.elbv2.delete_target_group(TargetGroupArn=world.group)
    world.ec2.delete_subnet(SubnetId=world.subnets[0])
    world.ec2.delete_security_group(GroupId=world.security_group)


def test_a_target_group_in_use_cannot_be_deleted(world: World) -> None:
    with refused("ResourceInUse"):
        world.elbv2.delete_target_group(TargetGroupArn=world.group)


@pytest.mark.parametrize("change", [{"HealthCheckTimeoutSeconds": 30}, {"HealthCheckIntervalSeconds": 5}])
def test_health_checks_are_validated(world: World, change: dict[str, int]) -> None:
    with refused("ValidationError"):
        world.elbv2.modify_target_group(TargetGroupArn=world.group, **change)


def test_a_refused_target_group_is_not_there(world: World) -> None:
    with refused("ValidationError"):
        world.create_group("other", HealthyThresholdCount=11)
    assert len(world.elbv2.describe_target_groups()["TargetGroups"]) == 1


def test_capacity_reservations(world: World) -> None:
    arn = world.balancer
    world.elbv2.modify_capacity_reservation(LoadBalancerArn=arn, MinimumLoadBalancerCapacity={"CapacityUnits": 100})
    told = world.elbv2.describe_capacity_reservation(LoadBalancerArn=arn)
    assert told["MinimumLoadBalancerCapacity"] == {"CapacityUnits": 100}


def test_trust_stores(world: World) -> None:
    assert world.elbv2.describe_trust_stores()["TrustStores"] == []
    with refused("TrustStoreNotFound"):
        world.elbv2.describe_trust_stores(Names=["x"])


def test_more_than_ten_tags(world: World) -> None:
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(20)]
    world.elbv2.add_tags(ResourceArns=[world.balancer], Tags=tags)
    with refused("TooManyTags"):
        world.elbv2.add_tags(ResourceArns=[world.balancer], Tags=[{"Key": f"m{n}", "Value": "v"} for n in range(40)])


def test_the_view_tells_what_the_security_groups_admit(world: World, view: Elbv2View) -> None:
    def admit(**more: Any) -> None:
        permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 90, **more}
        world.ec2.authorize_security_group_ingress(GroupId=world.security_group, IpPermissions=[permission])

    admit(IpRanges=[{"CidrIp": "10.0.0.0/8"}])
    admit(UserIdGroupPairs=[{"GroupId": world.security_group}])
    assert view.load_balancers()[0].inbound == (("10.0.0.0/8", 80),)


def test_the_view_tells_rules_in_order_with_the_default_last(world: World, view: Elbv2View) -> None:
    world.rule(20, "/late")
    world.rule(3, "/early")
    (listener,) = view.load_balancers()[0].listeners
    assert [rule.priority for rule in listener.rules] == [3, 20, None]


def test_the_view_tells_target_groups(world: World, view: Elbv2View) -> None:
    world.register(FIRST)
    (group,) = view.target_groups()
    assert (group.targets[0].ip, group.targets[0].port) == FIRST
    assert (group.health_check.interval, group.health_check.matcher) == (30, "200")
    assert group.deregistration_delay == 300


def test_what_was_added_to_motos_objects_can_be_saved(world: World) -> None:
    world.register(FIRST)
    backend = elbv2_backends["123456789012"]["us-west-2"]
    copy = pickle.loads(pickle.dumps(next(iter(backend.target_groups.values())).observed))
    assert copy[FIRST].state == "initial"
