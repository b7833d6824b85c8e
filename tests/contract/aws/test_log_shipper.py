"""The shipper against the log service of the lab's AWS, with the credentials that Pod Identity gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from moto.sts.models import sts_backends

from chaosctl.lab.shipper import cloudwatch
from chaosctl.lab.shipper.cloudwatch import CloudWatchLogs, PodIdentity, Unavailable
from chaosctl.lab.shipper.program import AUDIENCE, NAMESPACE, SERVICE_ACCOUNT
from chaosctl.lab.shipper.shipper import Shipper
from tests.contract.aws.conftest import REGION, ROLE_TRUST, Lab, MakeCluster
from tests.contract.aws.test_pod_credentials import KEY
from tests.unit.lab.shipper.node import FakeContainer

GROUP = "/aws/containerinsights/demo/application"


def token() -> str:
    """As the cluster gives one to the add-on's service account."""
    claims = {
        "aud": [AUDIENCE],
        "sub": f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}",
        "exp": datetime.now(UTC) + timedelta(hours=1),
        "kubernetes.io": {"namespace": NAMESPACE, "serviceaccount": {"name": SERVICE_ACCOUNT}},
    }
    return jwt.encode(claims, KEY, algorithm="RS256")


@pytest.fixture
def agent_role(lab: Lab, make_cluster: MakeCluster) -> None:
    """What Terraform makes for the add-on."""
    make_cluster()
    file = lab.layout.cluster("demo") / "pki" / "sa.pub"
    file.parent.mkdir(parents=True, exist_ok=True)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    file.write_bytes(KEY.public_key().public_bytes(serialization.Encoding.PEM, form))
    iam = lab.client("iam")
    role = iam.create_role(RoleName="agent", AssumeRolePolicyDocument=json.dumps(ROLE_TRUST))
    iam.attach_role_policy(RoleName="agent", PolicyArn="arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy")
    association = {"serviceAccount": SERVICE_ACCOUNT, "roleArn": role["Role"]["Arn"]}
    lab.client("eks").create_addon(
        clusterName="demo", addonName="amazon-cloudwatch-observability", podIdentityAssociations=[association]
    )


@pytest.fixture
def service(lab: Lab) -> Iterator[CloudWatchLogs]:
    with httpx.Client(base_url=lab.url) as http:
        yield CloudWatchLogs(http, REGION, PodIdentity(http, "demo", token))


def found(lab: Lab) -> list[str]:
    return [event["message"] for event in lab.client("logs").filter_log_events(logGroupName=GROUP)["events"]]


@pytest.mark.usefixtures("agent_role")
def test_what_a_container_writes_is_found_in_cloudwatch(lab: Lab, service: CloudWatchLogs, tmp_path: Path) -> None:
    container = FakeContainer(tmp_path, clock=int(datetime.now(UTC).timestamp() * 1000))
    container.write("hello", "world")
    Shipper("demo", lambda: {tmp_path: "node"}, service, lambda container: {}).once()

    assert [json.loads(message)["log"] for message in found(lab)] == ["hello", "world"]
    (stream,) = lab.client("logs").describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert stream["logStreamName"].startswith("node-application.var.log.containers.web-1_shop_web-")


@pytest.mark.usefixtures("agent_role")
def test_a_group_and_a_stream_that_were_removed_are_made_again(lab: Lab, service: CloudWatchLogs) -> None:
    now = int(datetime.now(UTC).timestamp() * 1000)
    service.put(GROUP, "a", [(now, "before")])
    lab.client("logs").delete_log_group(logGroupName=GROUP)
    with pytest.raises(Unavailable):
        service.put(GROUP, "a", [(now, "lost once")])
    service.put(GROUP, "a", [(now, "after")])

    assert found(lab) == ["after"]


@pytest.mark.usefixtures("agent_role")
def test_events_that_are_too_old_are_counted(service: CloudWatchLogs) -> None:
    now = int(datetime.now(UTC).timestamp() * 1000)
    assert service.put(GROUP, "a", [(now - 20 * 86_400_000, "old")]) == 1
    assert service.put(GROUP, "a", [(now, "new")]) == 0


@pytest.mark.usefixtures("agent_role")
def test_credentials_are_of_the_role_and_renewed_in_time(
    service: CloudWatchLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(datetime.now(UTC).timestamp() * 1000)
    for _ in range(3):
        service.put(GROUP, "a", [(now, "x")])
    (session,) = sts_backends["123456789012"]["aws"].assumed_roles
    assert session.role_arn.endswith(":role/agent")
    monkeypatch.setattr(cloudwatch, "RENEW_BEFORE", 7 * 3600)  # longer than they live
    service.put(GROUP, "a", [(now, "x")])
    assert len(sts_backends["123456789012"]["aws"].assumed_roles) == 2


def test_without_an_association_nothing_is_sent(lab: Lab, service: CloudWatchLogs, make_cluster: MakeCluster) -> None:
    make_cluster()
    with pytest.raises(Unavailable, match="credentials"):
        service.put(GROUP, "a", [(0, "x")])


def test_a_service_that_does_not_answer_is_unavailable() -> None:
    with httpx.Client(base_url="http://127.0.0.1:9") as http:
        service = CloudWatchLogs(http, REGION, PodIdentity(http, "demo", token))
        with pytest.raises(Unavailable):
            service.put(GROUP, "a", [(0, "x")])
