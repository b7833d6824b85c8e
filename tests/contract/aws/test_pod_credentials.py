from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import jwt
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.contract.aws.conftest import REGION, ROLE_TRUST, Lab, MakeCluster

KEY = rsa.generate_private_key(65537, 2048)


@pytest.fixture
def role(lab: Lab, make_cluster: MakeCluster) -> str:
    """A cluster whose service account kube-system/controller has a role."""
    make_cluster()
    file = lab.layout.cluster("demo") / "pki" / "sa.pub"
    file.parent.mkdir(parents=True, exist_ok=True)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    file.write_bytes(KEY.public_key().public_bytes(serialization.Encoding.PEM, form))
    policy = json.dumps(ROLE_TRUST)
    arn = lab.client("iam").create_role(RoleName="controller", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    lab.client("eks").create_pod_identity_association(
        clusterName="demo", namespace="kube-system", serviceAccount="controller", roleArn=arn
    )
    return str(arn)


def credentials(lab: Lab, account: str = "controller") -> Any:
    claims = {
        "aud": ["pods.eks.amazonaws.com"],
        "sub": f"system:serviceaccount:kube-system:{account}",
        "exp": datetime.now(UTC) + timedelta(hours=1),
        "kubernetes.io": {"namespace": "kube-system", "serviceaccount": {"name": account}, "pod": {"name": "pod-1"}},
    }
    headers = {"Authorization": jwt.encode(claims, KEY, algorithm="RS256"), "X-Chaosctl-Cluster": "demo"}
    with urllib.request.urlopen(urllib.request.Request(f"{lab.url}/v1/credentials", headers=headers)) as answer:
        return json.load(answer)


def test_a_pod_acts_as_its_role(lab: Lab, role: str) -> None:
    granted = credentials(lab)
    session = boto3.Session(granted["AccessKeyId"], granted["SecretAccessKey"], granted["Token"], REGION)
    arn = session.client("sts", endpoint_url=lab.url).get_caller_identity()["Arn"]
    assert arn.startswith("arn:aws:sts::123456789012:assumed-role/controller/eks-demo-pod-1")
    assert granted["AccountId"] == "123456789012"


def test_another_service_account_gets_nothing(lab: Lab, role: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        credentials(lab, "default")


def test_a_role_that_does_not_trust_pods_is_not_given(lab: Lab, role: str) -> None:
    policy = json.dumps(ROLE_TRUST).replace("pods.eks", "lambda")
    lab.client("iam").update_assume_role_policy(RoleName="controller", PolicyDocument=policy)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        credentials(lab)


def mutate(lab: Lab, account: str) -> Any:
    pod = {"spec": {"serviceAccountName": account, "containers": [{"name": "app"}]}}
    body = {"request": {"uid": "1", "namespace": "kube-system", "object": pod}}
    url = f"{lab.url}/chaosctl/clusters/demo/mutate-pods"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode())) as answer:
        return json.load(answer)["response"]


def test_pods_with_an_association_are_changed(lab: Lab, role: str) -> None:
    response = mutate(lab, "controller")
    assert (response["uid"], response["allowed"], response["patchType"]) == ("1", True, "JSONPatch")
    assert b"pods.eks.amazonaws.com" in base64.b64decode(response["patch"])


def test_other_pods_are_not(lab: Lab, role: str) -> None:
    assert mutate(lab, "default") == {"uid": "1", "allowed": True}


# --- secrets


def secrets_of(lab: Lab, key: str, secret: str, token: str | None = None) -> Any:
    session = boto3.Session(key, secret, token, REGION)
    return session.client("secretsmanager", endpoint_url=lab.url, config=Config(retries={"max_attempts": 0}))


@pytest.fixture
def secret(lab: Lab, role: str) -> str:
    """ARN of the secret shop/database, which the role may read; shop/token is there too."""
    owner = lab.operator("secretsmanager")
    arn = owner.create_secret(Name="shop/database", SecretString="hidden")["ARN"]
    owner.create_secret(Name="shop/token", SecretString="hidden too")
    allowed = {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": [f"{arn[:-6]}??????"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    lab.client("iam").put_role_policy(RoleName="controller", PolicyName="read", PolicyDocument=document)
    return str(arn)


def pods_secrets(lab: Lab) -> Any:
    granted = credentials(lab)
    return secrets_of(lab, granted["AccessKeyId"], granted["SecretAccessKey"], granted["Token"])


@pytest.mark.parametrize("by", ["name", "ARN"])
def test_a_pod_reads_the_secret_that_its_role_names(lab: Lab, secret: str, by: str) -> None:
    wanted = secret if by == "ARN" else "shop/database"
    assert pods_secrets(lab).get_secret_value(SecretId=wanted)["SecretString"] == "hidden"


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("get_secret_value", {"SecretId": "shop/token"}),
        ("get_secret_value", {"SecretId": "shop/nothing"}),
        ("put_secret_value", {"SecretId": "shop/database", "SecretString": "x"}),
        ("list_secrets", {}),
    ],
)
def test_and_nothing_else(lab: Lab, secret: str, operation: str, arguments: Any) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        getattr(pods_secrets(lab), operation)(**arguments)


def test_a_denial_wins(lab: Lab, secret: str) -> None:
    denied = {"Effect": "Deny", "Action": "secretsmanager:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": denied})
    lab.client("iam").put_role_policy(RoleName="controller", PolicyName="deny", PolicyDocument=document)
    with pytest.raises(ClientError, match="AccessDenied"):
        pods_secrets(lab).get_secret_value(SecretId="shop/database")


def test_who_has_no_key_reads_no_secret(lab: Lab, secret: str) -> None:
    granted = credentials(lab)
    for key in (
        ("AKIAUNKNOWN", "x", None),
        (granted["AccessKeyId"], "wrong", granted["Token"]),
        (granted["AccessKeyId"], granted["SecretAccessKey"], "wrong"),
        (lab.key["AccessKeyId"], "wrong", None),
    ):
        with pytest.raises(ClientError, match=r"UnrecognizedClient|InvalidSignature"):
            secrets_of(lab, *key).get_secret_value(SecretId="shop/database")
