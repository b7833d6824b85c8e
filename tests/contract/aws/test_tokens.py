"""EKS tokens, made as clients make them, against the cluster's authenticator."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.signers import RequestSigner

from chaosctl.lab.aws import signatures
from tests.contract.aws.conftest import OWN_TRUST, REGION, Lab, MakeCluster

OPERATOR = "arn:aws:iam::123456789012:user/chaosctl-operator"
POLICIES = "arn:aws:eks::aws:cluster-access-policy/"


def token(
    key: dict[str, str], *, cluster: str = "demo", url: str = f"https://sts.{REGION}.amazonaws.com", expires: int = 60
) -> str:
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], key.get("SessionToken"), REGION)
    sts = session.client("sts")
    credentials = session.get_credentials()
    assert credentials is not None
    signer = RequestSigner(sts.meta.service_model.service_id, REGION, "sts", "v4", credentials, session.events)
    request = {
        "method": "GET",
        "url": f"{url}/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-k8s-aws-id": cluster},
        "context": {},
    }
    signed = signer.generate_presigned_url(request, "GetCallerIdentity", expires_in=expires, region_name=REGION)
    return "k8s-aws-v1." + base64.urlsafe_b64encode(signed.encode()).decode().rstrip("=")


def review(lab: Lab, text: str, cluster: str = "demo") -> Any:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": text}}
    request = urllib.request.Request(
        f"{lab.url}/chaosctl/clusters/{cluster}/authenticate",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["status"]


@pytest.fixture
def cluster(lab: Lab, make_cluster: MakeCluster) -> Any:
    make_cluster()
    eks = lab.client("eks")
    eks.create_access_entry(clusterName="demo", principalArn=OPERATOR, kubernetesGroups=["ops"])
    return eks


@pytest.mark.parametrize("expires", [0, 60, 900])
@pytest.mark.parametrize("url", ["https://sts.us-west-2.amazonaws.com", "https://sts.amazonaws.com", "endpoint"])
def test_the_operator_gets_in(lab: Lab, cluster: Any, url: str, expires: int) -> None:
    where = lab.url if url == "endpoint" else url
    status = review(lab, token(lab.key, url=where, expires=expires))
    assert status["authenticated"] is True
    assert status["user"]["username"] == OPERATOR
    assert status["user"]["groups"] == ["ops"]


def test_policies_become_groups(lab: Lab, cluster: Any) -> None:
    of_entry = {"clusterName": "demo", "principalArn": OPERATOR}
    cluster.associate_access_policy(
        **of_entry, policyArn=POLICIES + "AmazonEKSClusterAdminPolicy", accessScope={"type": "cluster"}
    )
    cluster.associate_access_policy(
        **of_entry,
        policyArn=POLICIES + "AmazonEKSViewPolicy",
        accessScope={"type": "namespace", "namespaces": ["a", "b"]},
    )
    assert review(lab, token(lab.key))["user"]["groups"] == [
        "ops",
        "chaosctl:AmazonEKSClusterAdminPolicy",
        "chaosctl:AmazonEKSViewPolicy:a",
        "chaosctl:AmazonEKSViewPolicy:b",
    ]


def role_session(lab: Lab, name: str = "admin", path: str = "/team/") -> dict[str, str]:
    policy = json.dumps(OWN_TRUST)
    role = lab.client("iam").create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    session: dict[str, str] = lab.client("sts").assume_role(RoleArn=role, RoleSessionName="alice")["Credentials"]
    return session


def test_a_session_of_a_role_gets_in_under_its_name(lab: Lab, cluster: Any) -> None:
    session = role_session(lab)
    cluster.create_access_entry(clusterName="demo", principalArn="arn:aws:iam::123456789012:role/team/admin")
    status = review(lab, token(session))
    assert status["user"]["username"] == "arn:aws:sts::123456789012:assumed-role/admin/alice"


def test_a_role_without_entry_is_refused(lab: Lab, cluster: Any) -> None:
    status = review(lab, token(role_session(lab)))
    assert status["authenticated"] is False
    assert "has no access entry" in status["error"]


def test_a_session_without_its_token_is_refused(lab: Lab, cluster: Any) -> None:
    session = role_session(lab)
    assert "session token" in review(lab, token({**session, "SessionToken": ""}))["error"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"SecretAccessKey": "wrong"}, "its signature is wrong"),
        ({"AccessKeyId": "AKIAUNKNOWN00000000"}, "its access key is unknown"),
    ],
)
def test_wrong_keys_are_refused(lab: Lab, cluster: Any, change: dict[str, str], why: str) -> None:
    assert review(lab, token({**lab.key, **change})) == {"authenticated": False, "error": why}


def test_a_disabled_key_is_refused(lab: Lab, cluster: Any) -> None:
    signed = token(lab.key)
    lab.client("iam").update_access_key(
        UserName="chaosctl-operator", AccessKeyId=lab.key["AccessKeyId"], Status="Inactive"
    )
    assert review(lab, signed)["error"] == "its access key is unknown"


def test_a_token_for_another_cluster_is_refused(lab: Lab, cluster: Any) -> None:
    assert review(lab, token(lab.key, cluster="other"))["error"] == "its signature is wrong"


def test_a_token_for_another_host_is_refused(lab: Lab, cluster: Any) -> None:
    assert "no endpoint of STS" in review(lab, token(lab.key, url="https://sts.example.com"))["error"]


def test_a_cluster_that_does_not_exist_refuses_everybody(lab: Lab) -> None:
    assert review(lab, token(lab.key, cluster="other"), "other")["authenticated"] is False


@pytest.mark.parametrize("text", ["", "k8s-aws-v1.", "k8s-aws-v1.@@@", "k8s-aws-v1.aGVsbG8", "eyJhbGciOi.J9.x"])
def test_what_is_no_token_is_refused(lab: Lab, cluster: Any, text: str) -> None:
    assert review(lab, text)["authenticated"] is False


@pytest.mark.parametrize(
    ("later", "why"), [(timedelta(minutes=16), "it has expired"), (-timedelta(hours=1), "its date is in the future")]
)
def test_old_and_early_tokens_are_refused(lab: Lab, cluster: Any, later: timedelta, why: str) -> None:
    encoded = token(lab.key).removeprefix("k8s-aws-v1.")
    url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    now = datetime.now(UTC)
    assert signatures.identify(url, {"x-k8s-aws-id": "demo"}, now).arn == OPERATOR
    with pytest.raises(signatures.Refused, match=why):
        signatures.identify(url, {"x-k8s-aws-id": "demo"}, now + later)


def test_a_token_that_lives_long_is_refused(lab: Lab, cluster: Any) -> None:
    assert review(lab, token(lab.key, expires=3600))["error"] == "its lifetime is too long"


def test_a_removed_entry_shuts_the_door(lab: Lab, cluster: Any) -> None:
    cluster.delete_access_entry(clusterName="demo", principalArn=OPERATOR)
    assert review(lab, token(lab.key))["authenticated"] is False


def test_a_presigned_identity_is_verified(lab: Lab) -> None:
    url = lab.operator("sts").generate_presigned_url("get_caller_identity", HttpMethod="GET")
    with urllib.request.urlopen(url) as answer:
        result = json.load(answer)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
    assert result["Arn"] == OPERATOR
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url[:-4] + "0000")
