"""The controller between a made-up API server and moto."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chaosctl.lab.aws.corrections import elbv2
from chaosctl.lab.standins.controller.bindings import Bindings
from chaosctl.lab.standins.controller.cluster import Cluster
from chaosctl.lab.standins.controller.deploy import Deployer
from chaosctl.lab.standins.controller.ingresses import Ingresses
from chaosctl.lab.standins.incluster.kube import Api, ApiError, Cache, key_of
from tests.unit.standins.ingress import SERVICE

REGION = "us-west-2"


class ApiServer(Api):
    """Keeps objects by path, honours finalizers and resource versions, and tells the caches at once."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.caches: dict[str, Cache] = {}
        self.events: list[dict[str, Any]] = []
        self._versions = itertools.count(1)

    def request(self, method: str, path: str, body: Any = None, content_type: str = "") -> Any:
        body = json.loads(json.dumps(body))
        if path.endswith("/events"):
            self.events.append(body)
            return body
        if method == "POST":
            namespace = path.split("/namespaces/")[1].split("/")[0]
            body["metadata"].setdefault("namespace", namespace)
            return self.put(f"{path}/{body['metadata']['name']}", body)
        path = path.removesuffix("/status")
        if path not in self.objects:
            raise ApiError(404, "NotFound", path)
        return self.put(path, self._changed(path, body)) if method == "PATCH" else self.mark_deleted(path)

    def _changed(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        held = self.objects[path]
        version = body.get("metadata", {}).pop("resourceVersion", None)
        if version not in (None, held["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", path)
        if "conditions" in body.get("status", {}):  # merged by type, as a strategic merge patch is
            types = {condition["type"] for condition in body["status"]["conditions"]}
            kept = [condition for condition in held["status"]["conditions"] if condition["type"] not in types]
            body["status"]["conditions"] = kept + body["status"]["conditions"]
        return {**held, **body, "metadata": {**held["metadata"], **body.get("metadata", {})}}

    def put(self, path: str, obj: dict[str, Any]) -> dict[str, Any]:
        obj["metadata"]["resourceVersion"] = str(next(self._versions))
        obj["metadata"].setdefault("uid", path)
        self.objects[path] = obj
        gone = "deletionTimestamp" in obj["metadata"] and not obj["metadata"].get("finalizers")
        if gone:
            del self.objects[path]
        self.caches[path.split("/")[-2]]._note("DELETED" if gone else "MODIFIED", obj)
        return obj

    def mark_deleted(self, path: str) -> dict[str, Any]:
        obj = self.objects[path]
        return self.put(path, {**obj, "metadata": {**obj["metadata"], "deletionTimestamp": "now"}})


@dataclass
class World:
    """Both sides of the controller, and the controller."""

    server: ApiServer
    cluster: Cluster
    elb: Any
    ec2: Any
    vpc: str
    ingresses: Ingresses
    bindings: Bindings

    def restart(self) -> None:
        """A new process of the controller: it knows nothing that it cannot see."""
        self.ingresses, self.bindings = controller(self)

    def settle(self, passes: int = 4) -> None:
        for _ in range(passes):
            self.ingresses.reconcile()
            self.bindings.reconcile()

    def put_ingress(self, obj: dict[str, Any]) -> None:
        self.server.put(self.ingress_path(obj), obj)

    def ingress_path(self, obj: dict[str, Any]) -> str:
        return "/apis/networking.k8s.io/v1/namespaces/{}/ingresses/{}".format(*key_of(obj))

    @property
    def balancers(self) -> list[dict[str, Any]]:
        return list(self.elb.describe_load_balancers()["LoadBalancers"])

    @property
    def target_groups(self) -> list[dict[str, Any]]:
        return list(self.elb.describe_target_groups()["TargetGroups"])

    @property
    def security_groups(self) -> list[dict[str, Any]]:
        groups = self.ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])
        return [group for group in groups["SecurityGroups"] if group["GroupName"] != "default"]


def controller(world: World) -> tuple[Ingresses, Bindings]:
    deployer = Deployer(world.ec2, world.elb, world.vpc, "cluster-1")
    return Ingresses(world.cluster, deployer, "cluster-1", "alb", {"owner": "me"}), Bindings(world.cluster, world.elb)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    elbv2.apply()  # they stay in this process: which tests ran before must not matter
    with mock_aws():
        ec2, elb = boto3.client("ec2", region_name=REGION), boto3.client("elbv2", region_name=REGION)
        server = ApiServer()
        cluster = Cluster(server, lambda: None)
        for name in ("ingresses", "services", "pods"):
            server.caches[name] = getattr(cluster, name)
        server.caches["targetgroupbindings"], server.caches["endpointslices"] = cluster.bindings, cluster.slices
        deployer = Deployer(ec2, elb, vpc := _network(ec2), "cluster-1")
        ours = Ingresses(cluster, deployer, "cluster-1", "alb", {"owner": "me"})
        cluster.services.put(SERVICE)
        yield World(server, cluster, elb, ec2, vpc, ours, Bindings(cluster, elb))


def _network(ec2: Any) -> str:
    vpc = str(ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])
    for number, zone in enumerate("aab"):
        made = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")
        tags = [{"Key": f"kubernetes.io/role/{role}", "Value": "1"} for role in ("elb", "internal-elb")]
        ec2.create_tags(Resources=[made["Subnet"]["SubnetId"]], Tags=tags)
    return vpc
