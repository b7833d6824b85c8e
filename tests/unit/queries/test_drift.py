from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from chaosctl.adapters import elb
from chaosctl.adapters.aws import AwsRefused, Cluster
from chaosctl.adapters.elb import LoadBalancer
from chaosctl.adapters.helm import Release
from chaosctl.adapters.kube import AUTOSCALERS, DEPLOYMENTS, INGRESSES
from chaosctl.adapters.terraform_plan import LATER, AttributeChange, ResourceChange
from chaosctl.config import InfraSettings, Settings, TlsSettings
from chaosctl.events import ignore
from chaosctl.queries import drift
from chaosctl.queries.drift import Difference, additions, judge_size, look, openings
from chaosctl.stages import access, alarms, controller, entrance, infra, naming
from chaosctl.stages.entrance import Entrance
from chaosctl.stages.release import drift_of
from chaosctl.stages.stage import Context
from chaosctl.target import Target
from tests.unit.stages.fakes import FakeKube, deployment

MANIFEST = "kind: Service\napiVersion: v1\nmetadata: {name: web}\nspec: {port: 80}\n"
RELEASE = Release("web", "shop", 1, "deployed", MANIFEST, "[]")


@pytest.mark.parametrize(
    ("size", "wanted", "said"),
    [
        (3, 3, ""),
        (5, 3, "is scaled to 5, its autoscaler wants 3"),
        (0, 3, "is scaled to 0, its autoscaler keeps 3 to 15"),
        (20, 20, "is scaled to 20, its autoscaler keeps 3 to 15"),
        (8, 8, ""),
        (3, 0, ""),  # was at 0: the autoscaler rested, and has not decided since
    ],
)
def test_a_size_that_is_not_the_autoscalers(size: int, wanted: int, said: str) -> None:
    scaler = {"spec": {"minReplicas": 3, "maxReplicas": 15}, "status": {"desiredReplicas": wanted}}
    assert judge_size({"spec": {"replicas": size}}, scaler) == said


def group(source: str, port: int | None, to: int | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"IpRanges": [{"CidrIp": source}]}
    if port is not None:
        rule |= {"FromPort": port, "ToPort": to or port}
    return {"IpPermissions": [rule]}


@pytest.mark.parametrize(
    ("opened", "allowed", "said"),
    [
        (group("0.0.0.0/0", 22), set(), ["is open to 0.0.0.0/0 on port 22"]),
        (group("0.0.0.0/0", None), set(), ["is open to 0.0.0.0/0 on ports 0 to 65535"]),
        (group("0.0.0.0/0", 80), {"0.0.0.0/0"}, []),
        (group("0.0.0.0/0", 22), {"0.0.0.0/0"}, ["is open to 0.0.0.0/0 on port 22"]),
        (group("0.0.0.0/0", 443), {"10.0.0.0/8"}, ["is open to 0.0.0.0/0 on port 443"]),
        ({"IpPermissions": [{"UserIdGroupPairs": [{"GroupId": "sg-1"}]}]}, set(), []),
    ],
)
def test_an_opened_security_group(opened: dict[str, Any], allowed: set[str], said: list[str]) -> None:
    assert openings(opened, allowed) == said


def test_what_a_person_added() -> None:
    marks: dict[str, Any] = {"f:metadata": {"f:annotations": {".": {}, "f:waf": {}, "f:scheme": {}}}, "f:spec": {}}
    entries = [
        {"manager": "kubectl-edit", "fieldsV1": marks},
        {"manager": "helm", "fieldsV1": {"f:spec": {}}},
        {"manager": "kubectl-edit", "subresource": "status", "fieldsV1": {"f:spec": {}}},
        {"manager": "kubectl-rollout", "fieldsV1": {"f:spec": {}}},
    ]
    live = {"metadata": {"managedFields": entries}}
    assert additions(live, {"scheme"}) == {"kubectl-edit": ["waf", "spec"]}
    assert additions({}, set()) == {}


def test_a_missing_object() -> None:
    drift = drift_of(FakeKube(), RELEASE, RELEASE.objects()[0])
    assert drift
    assert (drift.kind, drift.name, drift.live) == ("Service", "web", None)


# --- the looks, at a deployment whose parts are as `up` left them, each test with one of them changed

APP = "web"
TAGS = {"chaosctl:cluster": "demo", "chaosctl:environment": "default"}
INGRESS = """\
kind: Ingress
apiVersion: networking.k8s.io/v1
metadata: {name: web, namespace: shop, annotations: {scheme: internet-facing}}
spec: {ingressClassName: alb}
"""
MARKS = {"meta.helm.sh/release-name": APP, "meta.helm.sh/release-namespace": "shop"}


@dataclass
class FakeAws:
    """A cluster, its node group and the security groups of its VPC."""

    cluster_data: dict[str, Any] = field(default_factory=lambda: {"deletionProtection": False, "tags": TAGS})
    nodes: int = 2
    groups: list[dict[str, Any]] = field(default_factory=list)
    there: bool = True

    def cluster(self, name: str) -> Cluster | None:
        return Cluster(name, "arn", "ACTIVE", "1.36", "https://c", "", "vpc-1") if self.there else None

    def call(self, service: str, operation: str, **_: Any) -> Any:
        if not self.there:
            gone = AwsRefused("refused", code="AWS-REFUSED")
            gone.aws_code = "ResourceNotFoundException"
            raise gone
        sizes = {"minSize": 2, "maxSize": 4, "desiredSize": self.nodes}
        return {
            "describe_cluster": {"cluster": self.cluster_data},
            "describe_nodegroup": {"nodegroup": {"status": "ACTIVE", "tags": TAGS, "scalingConfig": sizes}},
        }[operation]

    def pages(self, service: str, operation: str, key: str, **_: Any) -> Iterator[Any]:
        found: dict[str, list[Any]] = {"list_nodegroups": ["main"], "describe_security_groups": self.groups}
        yield from found[operation]


@dataclass
class World:
    """What is there, and what Terraform says of it."""

    aws: FakeAws
    kube: FakeKube
    helm: dict[str, Release]
    context: Context
    terraform: list[ResourceChange] = field(default_factory=list)
    alarms: list[ResourceChange] = field(default_factory=list)

    def seen(self) -> list[tuple[str, str, str]]:
        return [(d.where, d.object, d.what) for d in look(self.context)]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    kube, settings = FakeKube(), Settings(cluster_name="demo", namespace="shop", release=APP)
    kube.put(DEPLOYMENTS, deployment(APP, wanted=3))
    scaler = {"minReplicas": 3, "maxReplicas": 15}
    meta = {"name": APP, "namespace": "shop"}
    kube.put(AUTOSCALERS, {"metadata": meta, "spec": scaler, "status": {"desiredReplicas": 3}})
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    live = {"annotations": {"scheme": "internet-facing", **MARKS}, "labels": labels}
    spec = {"ingressClassName": "alb"}
    head = {"kind": "Ingress", "apiVersion": "networking.k8s.io/v1"}
    kube.put(INGRESSES, {**head, "metadata": {**meta, **live}, "spec": spec})
    installed = {
        APP: Release(APP, "shop", 1, "deployed", INGRESS, "[]"),
        controller.RELEASE: Release(controller.RELEASE, "kube-system", 1, "deployed", "", "[]"),
    }
    target = Target("fake", "us-west-2", {}, {}, "bucket")
    made = World(FakeAws(), kube, installed, Context(settings, target, ignore, lambda *n: {}, tmp_path))
    helm = type("Helm", (), {"release": lambda _, name, namespace: made.helm.get(name)})()
    monkeypatch.setattr(Context, "aws", made.aws)
    monkeypatch.setattr(access.Access, "kube", kube)
    monkeypatch.setattr(access.Access, "helm", helm)
    monkeypatch.setattr(drift, "REPLICAS_SECONDS", 0.0)
    for module, told in ((infra, "terraform"), (alarms, "alarms")):
        monkeypatch.setattr(module, "has_state", lambda _: True)
        examine = "examine_infra" if module is infra else "examine"
        monkeypatch.setattr(module, examine, lambda _, told=told: getattr(made, told))
    return made


def test_what_is_as_up_left_it_has_no_drift(world: World) -> None:
    assert world.seen() == []


def test_a_deployment_scaled_to_nothing(world: World) -> None:
    world.kube.put(DEPLOYMENTS, deployment(APP, wanted=0))
    what = "is scaled to 0, its autoscaler keeps 3 to 15"
    assert world.seen() == [("Kubernetes", "Deployment shop/web", what)]


def test_an_edited_ingress(world: World) -> None:
    ingress = world.kube.get(INGRESSES, APP, "shop")
    assert ingress is not None
    ingress["metadata"]["annotations"]["scheme"] = "internal"
    said = world.seen()
    assert [(where, name) for where, name, _ in said] == [("Helm", "Ingress shop/web")]
    assert "scheme: internet-facing" in said[0][2] and "scheme: internal" in said[0][2]


def test_an_annotation_that_the_chart_does_not_know(world: World) -> None:
    ingress = world.kube.get(INGRESSES, APP, "shop")
    assert ingress is not None
    marks: dict[str, Any] = {"f:metadata": {"f:annotations": {"f:waf": {}}}}
    ingress["metadata"]["managedFields"] = [{"manager": "kubectl-annotate", "fieldsV1": marks}]
    assert world.seen() == [("Kubernetes", "Ingress shop/web", "kubectl-annotate added waf")]


def test_objects_and_releases_that_are_gone(world: World) -> None:
    world.kube.objects.pop(INGRESSES.path("shop", APP))
    assert world.seen() == [("Helm", "Ingress shop/web", "is missing")]
    world.helm[APP] = replace(world.helm[APP], status="failed")
    assert world.seen() == [("Helm", "release shop/web", "is failed")]
    del world.helm[APP]
    assert world.seen() == [("Helm", "release shop/web", "is not installed")]


def test_another_number_of_nodes_and_what_puts_it_back(world: World) -> None:
    world.aws.nodes = 3
    expected = "desired size is 3, infra.node_desired_size is 2"
    assert world.seen() == [("AWS", "node group main", expected)]
    assert look(world.context)[0].remedy.startswith("`chaosctl infra`")


def with_settings(world: World, **changed: Any) -> Context:
    return replace(world.context, settings=world.context.settings.model_copy(update=changed))


def test_deletion_protection(world: World) -> None:
    wanted = with_settings(world, infra=InfraSettings(deletion_protection=True))
    assert look(wanted) == [
        Difference("AWS", "deletion protection", "is off, infra.deletion_protection is on", drift.REMEDY)
    ]
    world.aws.cluster_data["deletionProtection"] = True
    assert look(wanted) == []


def security_group(source: str, port: int, **tags: str) -> dict[str, Any]:
    named = [{"Key": key, "Value": value} for key, value in tags.items()]
    return {"GroupId": "sg-1", "GroupName": "g", "Tags": named, **group(source, port)}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (security_group("10.0.0.0/8", 22), "is open to 10.0.0.0/8 on port 22"),
        (security_group("0.0.0.0/0", 22, **{elb.CLUSTER_TAG: "demo"}), "is open to 0.0.0.0/0 on port 22"),
        (security_group("0.0.0.0/0", 80, **{elb.CLUSTER_TAG: "demo"}), ""),
        (security_group("0.0.0.0/0", 22, **{elb.CLUSTER_TAG: "demo", drift.STACK_TAG: "other/ingress"}), ""),
    ],
)
def test_security_groups_of_the_vpc(world: World, found: dict[str, Any], said: str) -> None:
    world.aws.groups = [found]
    assert world.seen() == ([("AWS", "security group sg-1 (g)", said)] if said else [])


def test_a_name_that_leads_elsewhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    balancer = LoadBalancer("arn", "web", "web.elb", "active", "internet-facing")
    monkeypatch.setattr(entrance, "entrance", lambda *_: Entrance("http://web", balancer, ()))
    monkeypatch.setattr(naming, "lacks", lambda *_: "leads nowhere")
    wanted = with_settings(world, tls=TlsSettings(domain="shop.example.com", zone="example.com"))
    assert [(d.object, d.what) for d in look(wanted)] == [("DNS name shop.example.com", "leads nowhere")]


def change(address: str, action: str, *attributes: AttributeChange) -> ResourceChange:
    return ResourceChange(address, address.partition(".")[0], action, attributes, None, None)


def test_what_terraform_misses_and_not_what_only_follows_from_it(world: World) -> None:
    body = AttributeChange("dashboard_body", "{...}", LATER)
    world.terraform = [
        change('aws_eks_addon.on_nodes["coredns"]', "create"),
        change("aws_vpc.main", "no-op"),
        change("aws_kms_key.logs", "update", AttributeChange("enable_key_rotation", "False", "True"), body),
    ]
    world.alarms = [
        change("aws_cloudwatch_metric_alarm.latency", "create"),
        change("aws_cloudwatch_dashboard.main", "update", body),
    ]
    assert [(name, what) for _, name, what in world.seen()] == [
        ('aws_eks_addon.on_nodes["coredns"]', "is missing"),
        ("aws_kms_key.logs", f"enable_key_rotation: False -> True; {body}"),
        ("aws_cloudwatch_metric_alarm.latency", "is missing"),
    ]


def test_without_a_cluster_only_terraform_is_asked(world: World) -> None:
    world.aws.there = False
    world.terraform = [change("aws_eks_cluster.main", "create")]
    assert world.seen() == [("Terraform", "aws_eks_cluster.main", "is missing")]
