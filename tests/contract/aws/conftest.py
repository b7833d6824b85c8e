"""The lab's AWS in this process, on loopback, and boto3 clients of its operator."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.credentials import Credentials
from moto.core.base_backend import BackendDict

from chaosctl.adapters.aws import Aws
from chaosctl.lab.aws import corrections, operator_account, patience, server
from chaosctl.lab.aws.scaling import Scaling
from chaosctl.lab.aws.store import MotoStore
from chaosctl.lab.aws.world import LOCK, Changes
from chaosctl.lab.layout import Layout

REGION = "us-west-2"
ROLE_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": ["eks.amazonaws.com", "pods.eks.amazonaws.com", "ec2.amazonaws.com"]},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
        }
    ],
}
OWN_TRUST = {  # of a role that users of this account may assume
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}],
}


@dataclass
class Lab:
    """The endpoint, the operator's key, and what the reconcilers would use."""

    url: str
    key: dict[str, str]
    store: MotoStore
    scaling: Scaling
    layout: Layout

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of the operator, the same for all tests unless there are `options`: it takes 0.1 s to make."""
        return _client(self.url, service) if not options else _make_client(self.url, service, options)

    operator = client

    @property
    def aws(self) -> Aws:
        """The same AWS as chaosctl itself sees it, as the operator."""
        keys = {"AWS_ACCESS_KEY_ID": self.key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": self.key["SecretAccessKey"]}
        return Aws({"AWS_ENDPOINT_URL": self.url, **keys}, REGION)


class _Operator:
    """Where the clients find the key of the operator, who is another one in each test."""

    def __init__(self) -> None:
        self.credentials = Credentials("none", "none")

    def load_credentials(self) -> Credentials:
        """As botocore asks for them, once for each client."""
        return self.credentials


OPERATOR = _Operator()


def _make_client(url: str, service: str, options: dict[str, Any]) -> Any:
    core = botocore.session.get_session()
    core.register_component("credential_provider", OPERATOR)
    make: Any = boto3.Session(botocore_session=core).client
    given = {"region_name": REGION, "endpoint_url": url, "config": Config(retries={"max_attempts": 0})}
    return make(service, **{**given, **options})


@functools.cache
def _client(url: str, service: str) -> Any:
    return _make_client(url, service, {})


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Layout, Changes]]:
    """One server for all tests of the session."""
    corrections.apply()
    layout, changes = Layout(tmp_path_factory.mktemp("lab")), Changes()
    front = server.serve("127.0.0.1", 0, server.Front(layout, changes))
    thread = threading.Thread(target=front.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{front.server_port}", layout, changes
    front.shutdown()
    front.server_close()
    thread.join()


@pytest.fixture
def lab(endpoint: tuple[str, Layout, Changes], monkeypatch: pytest.MonkeyPatch) -> Lab:
    """An AWS with nothing in it but its operator, which answers questions about states at once."""
    monkeypatch.setattr(patience, "HOLD", 0.0)
    url, layout, changes = endpoint
    with LOCK:
        BackendDict.reset()
        key = operator_account.ensure(layout.aws / "operator.json")
    OPERATOR.credentials.access_key, OPERATOR.credentials.secret_key = key["AccessKeyId"], key["SecretAccessKey"]
    return Lab(url, key, MotoStore(changes), Scaling(changes), layout)


@dataclass
class Network:
    """A VPC with one subnet in each of two zones."""

    vpc: str
    subnets: list[str]


@pytest.fixture
def network(lab: Lab) -> Network:
    """10.0.0.0/16 with 10.0.1.0/24 in us-west-2a and 10.0.2.0/24 in us-west-2b."""
    ec2 = lab.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")
        for number, zone in ((1, "a"), (2, "b"))
    ]
    return Network(vpc, [subnet["Subnet"]["SubnetId"] for subnet in subnets])


MakeCluster = Callable[..., Any]


@pytest.fixture
def make_cluster(lab: Lab, network: Network) -> MakeCluster:
    """Create a cluster; ACTIVE unless `active=False`; further arguments go to CreateCluster."""

    def make(name: str = "demo", *, active: bool = True, **options: Any) -> Any:
        given = {
            "roleArn": "arn:aws:iam::123456789012:role/cluster",
            "resourcesVpcConfig": {"subnetIds": network.subnets},
            "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
            **options,
        }
        cluster = lab.client("eks").create_cluster(name=name, **given)["cluster"]
        if active:
            lab.store.cluster_observed(name, "ACTIVE", endpoint="https://127.128.0.2", ca_pem=b"authority")
        return cluster

    return make


@pytest.fixture
def make_nodegroup(lab: Lab, network: Network, make_cluster: MakeCluster) -> Callable[..., Any]:
    """Create the node group `main` of the cluster `demo`, two nodes; further arguments go to CreateNodegroup."""

    def make(**options: Any) -> Any:
        make_cluster()
        given = {
            "nodeRole": "arn:aws:iam::123456789012:role/node",
            "subnets": network.subnets,
            "scalingConfig": {"minSize": 1, "maxSize": 4, "desiredSize": 2},
            "instanceTypes": ["t3.medium"],
            **options,
        }
        return lab.client("eks").create_nodegroup(clusterName="demo", nodegroupName="main", **given)["nodegroup"]

    return make
