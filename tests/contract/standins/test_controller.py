"""The controller stand-in against moto: Ingress to load balancer and back, pods to targets and gates."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization

from chaosctl.lab.aws.elbv2 import Elbv2View
from chaosctl.lab.pki import Authority, Identity, key_pem
from chaosctl.lab.standins.controller.targets import GATE
from tests.contract.standins.conftest import REGION, World
from tests.unit.standins.ingress import PREFIX, ingress

NAMESPACE = "chaotic-backend"
POD_PATH = f"/api/v1/namespaces/{NAMESPACE}/pods/pod-1"
SLICE_PATH = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices/app-1"


@pytest.fixture
def deployed(world: World) -> World:
    world.put_ingress(ingress({"scheme": "internet-facing", "inbound-cidrs": "192.0.2.0/24"}))
    world.settle()
    return world


def held(world: World) -> dict[str, Any]:
    return dict(world.cluster.ingresses.objects()[0])


def reasons(world: World) -> list[str]:
    return [event["reason"] for event in world.server.events]


def put_pod(world: World, *, containers_ready: bool) -> None:
    gate = GATE + world.target_groups[0]["TargetGroupName"]
    status = {"conditions": [{"type": "ContainersReady", "status": str(containers_ready)}]}
    metadata = {"namespace": NAMESPACE, "name": "pod-1"}
    spec = {"readinessGates": [{"conditionType": gate}]}
    world.server.put(POD_PATH, {"metadata": metadata, "spec": spec, "status": status})
    reference = {"kind": "Pod", **metadata}
    endpoint = {"addresses": ["10.0.0.9"], "conditions": {"ready": False}, "targetRef": reference}
    labels = {"kubernetes.io/service-name": "app"}
    meta = {"namespace": NAMESPACE, "name": "app-1", "labels": labels}
    ports = [{"name": "http", "port": 3000}]
    world.server.put(SLICE_PATH, {"metadata": meta, "ports": ports, "endpoints": [endpoint]})


def targets(world: World) -> list[str]:
    arn = world.target_groups[0]["TargetGroupArn"]
    health = world.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    live = [item for item in health if item["TargetHealth"]["State"] != "draining"]
    return [f"{item['Target']['Id']}:{item['Target']['Port']}" for item in live]


def test_an_ingress_becomes_a_load_balancer(deployed: World) -> None:
    (balancer,), (group,), (firewall,) = deployed.balancers, deployed.target_groups, deployed.security_groups
    assert (balancer["Scheme"], balancer["SecurityGroups"]) == ("internet-facing", [firewall["GroupId"]])
    assert len(balancer["AvailabilityZones"]) == 2  # one subnet of each zone
    assert (group["TargetType"], group["VpcId"]) == ("ip", deployed.vpc)
    (permission,) = firewall["IpPermissions"]
    assert (permission["FromPort"], permission["IpRanges"][0]["CidrIp"]) == (80, "192.0.2.0/24")


def test_the_cluster_is_told(deployed: World) -> None:
    obj = held(deployed)
    assert obj["status"]["loadBalancer"]["ingress"] == [{"hostname": deployed.balancers[0]["DNSName"]}]
    assert obj["metadata"]["finalizers"] == ["ingress.k8s.aws/resources"]
    assert reasons(deployed) == ["SuccessfullyReconciled"]


def test_everything_is_tagged(deployed: World) -> None:
    arns = [deployed.balancers[0]["LoadBalancerArn"], deployed.target_groups[0]["TargetGroupArn"]]
    for described in deployed.elb.describe_tags(ResourceArns=arns)["TagDescriptions"]:
        tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}
        assert tags["elbv2.k8s.aws/cluster"] == "cluster-1"
        assert tags["ingress.k8s.aws/stack"] == f"{NAMESPACE}/{NAMESPACE}"
        assert tags["owner"] == "me"
    tags = {tag["Key"]: tag["Value"] for tag in deployed.security_groups[0]["Tags"]}
    assert tags["ingress.k8s.aws/resource"] == "ManagedLBSecurityGroup"


def test_a_second_pass_and_a_restart_change_nothing(deployed: World) -> None:
    before = (deployed.balancers, deployed.target_groups, deployed.security_groups, dict(deployed.server.objects))
    deployed.restart()
    deployed.settle()
    after = (deployed.balancers, deployed.target_groups, deployed.security_groups, dict(deployed.server.objects))
    assert after == before


def test_changes_are_carried_over(deployed: World) -> None:
    changed = held(deployed)
    changed["metadata"]["annotations"] |= {
        PREFIX + "inbound-cidrs": "10.0.0.0/8",
        PREFIX + "listen-ports": '[{"HTTP": 8080}]',
        PREFIX + "healthcheck-path": "/health/ready",
        PREFIX + "target-group-attributes": "deregistration_delay.timeout_seconds=10",
    }
    deployed.put_ingress(changed)
    deployed.settle()
    (permission,) = deployed.security_groups[0]["IpPermissions"]
    assert (permission["FromPort"], permission["IpRanges"][0]["CidrIp"]) == (8080, "10.0.0.0/8")
    listeners = deployed.elb.describe_listeners(LoadBalancerArn=deployed.balancers[0]["LoadBalancerArn"])["Listeners"]
    assert [listener["Port"] for listener in listeners] == [8080]
    assert deployed.target_groups[0]["HealthCheckPath"] == "/health/ready"
    assert len(deployed.balancers) == len(deployed.target_groups) == 1


HSTS = "routing.http.response.strict_transport_security.header_value"


def test_tls_is_terminated_redirected_and_demanded(deployed: World) -> None:
    made, key = Authority.new("test").issue(Identity("", "a.io", names=("a.io",)))
    pem = made.public_bytes(serialization.Encoding.PEM)
    acm = boto3.client("acm", region_name=REGION)
    certificate = acm.import_certificate(Certificate=pem, PrivateKey=key_pem(key))["CertificateArn"]
    changed = held(deployed)
    changed["metadata"]["annotations"] |= {
        PREFIX + "listen-ports": '[{"HTTP": 80}, {"HTTPS": 443}]',
        PREFIX + "certificate-arn": certificate,
        PREFIX + "ssl-policy": "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
        PREFIX + "ssl-redirect": "443",
        PREFIX + "listener-attributes.HTTPS-443": f"{HSTS}=max-age=31536000; includeSubDomains",
    }
    deployed.put_ingress(changed)
    deployed.settle()
    http, https = Elbv2View().load_balancers()[0].listeners
    assert http.rules[-1].actions[0]["RedirectConfig"]["StatusCode"] == "HTTP_301"
    assert https.certificates[0].startswith(pem.decode())
    assert https.tls is not None and https.tls.protocols == ("TLSv1.3", "TLSv1.2")
    assert (https.attributes[HSTS], http.attributes[HSTS]) == ("max-age=31536000; includeSubDomains", "")
    ports = {(port, cidr) for cidr, port in Elbv2View().load_balancers()[0].inbound}
    assert ports == {(80, "192.0.2.0/24"), (443, "192.0.2.0/24")}


def test_another_service_replaces_the_target_group(deployed: World) -> None:
    service = {"metadata": {"namespace": NAMESPACE, "name": "new"}, "spec": {"ports": [{"port": 80}]}}
    deployed.cluster.services.put(service)
    changed = held(deployed)
    backend = {"service": {"name": "new", "port": {"number": 80}}}
    changed["spec"] = {**changed["spec"], "rules": [], "defaultBackend": backend}
    deployed.put_ingress(changed)
    deployed.settle()
    assert [group["TargetGroupName"][:14] for group in deployed.target_groups] == ["k8s-chaoticb-n"]
    assert len(deployed.cluster.bindings.objects()) == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_deletion_leaves_nothing(deployed: World, restarted: bool) -> None:
    put_pod(deployed, containers_ready=True)
    deployed.settle()
    deployed.server.mark_deleted(deployed.ingress_path(held(deployed)))
    if restarted:
        deployed.restart()
    deployed.settle()
    assert deployed.balancers == deployed.target_groups == deployed.security_groups == []
    assert deployed.cluster.ingresses.objects() == deployed.cluster.bindings.objects() == []


def test_leaving_the_class_removes_it_too(deployed: World) -> None:
    changed = held(deployed)
    changed["spec"] = {**changed["spec"], "ingressClassName": "nginx"}
    deployed.put_ingress(changed)
    deployed.settle()
    assert deployed.balancers == deployed.target_groups == []
    assert held(deployed)["metadata"]["finalizers"] == []
    assert held(deployed)["status"]["loadBalancer"]["ingress"] == []


def test_other_classes_are_left_alone(world: World) -> None:
    world.put_ingress(ingress(ingressClassName="nginx"))
    world.settle()
    assert world.balancers == []
    assert "finalizers" not in held(world)["metadata"]


def test_a_broken_ingress_is_told_once_and_recovers(world: World) -> None:
    world.put_ingress(ingress({"scheme": "sideways"}))
    world.settle()
    assert reasons(world) == ["FailedBuildModel"]
    repaired = held(world)
    repaired["metadata"]["annotations"] = {PREFIX + "scheme": "internal"}
    world.put_ingress(repaired)
    world.settle()
    assert reasons(world) == ["FailedBuildModel", "SuccessfullyReconciled"]


def test_missing_subnets_are_told(world: World) -> None:
    subnets = world.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [world.vpc]}])["Subnets"]
    world.ec2.delete_tags(Resources=[s["SubnetId"] for s in subnets], Tags=[{"Key": "kubernetes.io/role/internal-elb"}])
    world.put_ingress(ingress())
    world.settle()
    assert "kubernetes.io/role/internal-elb" in world.server.events[0]["message"]


def test_what_aws_refuses_is_told_with_its_code(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "CreateLoadBalancer")

    monkeypatch.setattr(world.elb, "create_load_balancer", refuse)
    world.put_ingress(ingress())
    world.settle()
    assert reasons(world) == ["FailedDeployModel"]
    assert "AccessDenied" in world.server.events[0]["message"]


def test_one_bad_ingress_does_not_stop_another(world: World) -> None:
    bad, good = ingress({"scheme": "sideways"}), ingress()
    bad["metadata"]["name"] = "a-bad-one"
    world.put_ingress(bad)
    world.put_ingress(good)
    world.settle()
    assert len(world.balancers) == 1


def test_a_pod_waits_for_its_target(deployed: World) -> None:
    put_pod(deployed, containers_ready=False)
    deployed.settle()
    assert targets(deployed) == []
    put_pod(deployed, containers_ready=True)
    deployed.settle()
    assert targets(deployed) == ["10.0.0.9:3000"]
    assert gate(deployed) == "False"
    arn = deployed.target_groups[0]["TargetGroupArn"]
    Elbv2View().target_observed(arn, "10.0.0.9", 3000, "healthy")
    deployed.settle()
    assert gate(deployed) == "True"


def gate(world: World) -> str:
    conditions = world.server.objects[POD_PATH]["status"]["conditions"]
    return next(str(c["status"]) for c in conditions if c["type"].startswith(GATE))


def test_a_pod_that_ends_is_deregistered(deployed: World) -> None:
    put_pod(deployed, containers_ready=True)
    deployed.settle()
    pod = deployed.server.objects[POD_PATH]
    deployed.server.put(
        POD_PATH, {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "now", "finalizers": ["x"]}}
    )
    deployed.settle()
    assert targets(deployed) == []


def test_a_load_balancer_that_somebody_deleted_comes_back(deployed: World) -> None:
    deployed.elb.delete_load_balancer(LoadBalancerArn=deployed.balancers[0]["LoadBalancerArn"])
    deployed.restart()
    deployed.settle()
    assert len(deployed.balancers) == 1
    assert held(deployed)["status"]["loadBalancer"]["ingress"] == [{"hostname": deployed.balancers[0]["DNSName"]}]
