from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from chaosctl.lab.aws.pod_identity import AUDIENCE, Denied, injection, trusts_pod_identity, verified

KEY = rsa.generate_private_key(65537, 2048)


def token(key: rsa.RSAPrivateKey = KEY, **changes: Any) -> str:
    soon = datetime.now(UTC) + timedelta(hours=1)
    claims = {"sub": "system:serviceaccount:web:app", "aud": [AUDIENCE], "exp": soon, **changes}
    return jwt.encode(claims, key, algorithm="RS256")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "sa.pub"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    file.write_bytes(KEY.public_key().public_bytes(serialization.Encoding.PEM, form))
    return file


def test_a_token_of_the_cluster_is_verified(key_file: Path) -> None:
    assert verified(token(), key_file)["sub"] == "system:serviceaccount:web:app"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["https://kubernetes.default.svc"]},
        {"exp": datetime.now(UTC) - timedelta(minutes=1)},
        {"key": rsa.generate_private_key(65537, 2048)},
    ],
)
def test_other_tokens_are_denied(key_file: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(Denied, match="not valid"):
        verified(token(**changes), key_file)


def test_an_unsigned_token_is_denied(key_file: Path) -> None:
    unsigned = jwt.encode({"aud": AUDIENCE, "sub": "x", "exp": 9999999999}, "", algorithm="none")
    with pytest.raises(Denied):
        verified(unsigned, key_file)


def test_before_the_cluster_has_a_key_all_are_denied(tmp_path: Path) -> None:
    with pytest.raises(Denied, match="no service account key"):
        verified(token(), tmp_path / "sa.pub")


def pod() -> dict[str, Any]:
    return {
        "spec": {
            "containers": [{"name": "app", "env": [{"name": "AWS_REGION", "value": "eu-west-1"}]}],
            "initContainers": [{"name": "init"}],
            "volumes": [{"name": "data"}],
        }
    }


def test_every_container_gets_a_token_and_the_endpoint() -> None:
    patch = injection(pod(), "us-west-2")
    added = {operation["path"] for operation in patch}
    assert "/spec/volumes/-" in added
    assert {"/spec/containers/0/volumeMounts", "/spec/initContainers/0/volumeMounts"} <= added
    (init,) = (operation for operation in patch if operation["path"] == "/spec/initContainers/0/env")
    assert {"name": "AWS_ENDPOINT_URL", "value": "http://169.254.170.24"} in init["value"]


def test_what_the_pod_sets_itself_stays() -> None:
    names = [
        operation["value"]["name"]
        for operation in injection(pod(), "us-west-2")
        if operation["path"] == "/spec/containers/0/env/-"
    ]
    assert "AWS_REGION" not in names
    assert "AWS_DEFAULT_REGION" in names


def trust(service: Any, action: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": action}]}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (trust(AUDIENCE, ["sts:AssumeRole", "sts:TagSession"]), True),
        (trust(["ec2.amazonaws.com", AUDIENCE], ["sts:TagSession", "sts:AssumeRole"]), True),
        (trust(AUDIENCE, "sts:AssumeRole"), False),
        (trust("ec2.amazonaws.com", ["sts:AssumeRole", "sts:TagSession"]), False),
        ({}, False),
    ],
)
def test_a_role_must_trust_pod_identity(policy: dict[str, Any], expected: bool) -> None:
    assert trusts_pod_identity(policy) is expected
