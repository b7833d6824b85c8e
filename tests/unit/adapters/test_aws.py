from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from chaosctl.adapters import aws as module
from chaosctl.adapters.aws import Aws, AwsRefused
from chaosctl.errors import ChaosctlError, PreconditionFailed, Unreachable

ENV = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        yield Aws(ENV, "us-west-2")


def test_who_we_are(aws: Aws) -> None:
    assert aws.caller().account == "123456789012"


def test_a_cluster_that_is_not_there(aws: Aws) -> None:
    assert aws.cluster("nobody") is None


def test_a_cluster(aws: Aws) -> None:
    role = "arn:aws:iam::123456789012:role/r"
    aws.call("eks", "create_cluster", name="shop", roleArn=role, resourcesVpcConfig={"subnetIds": []})
    found = aws.cluster("shop")
    assert found is not None
    assert (found.name, found.status) == ("shop", "ACTIVE")


def test_a_refusal_keeps_the_code_of_aws(aws: Aws) -> None:
    with pytest.raises(AwsRefused) as caught:
        aws.call("s3", "get_object", Bucket="no-such-bucket-here", Key="k")
    assert caught.value.aws_code == "NoSuchBucket"
    assert caught.value.not_found
    assert "s3 get_object" in caught.value.why


@pytest.mark.parametrize(
    ("aws_code", "code"),
    [
        ("ExpiredToken", "AWS-CREDENTIALS"),
        ("InvalidClientTokenId", "AWS-CREDENTIALS"),
        ("AccessDeniedException", "AWS-DENIED"),
        ("ValidationException", "AWS-REFUSED"),
    ],
)
def test_codes(aws_code: str, code: str) -> None:
    error = ClientError({"Error": {"Code": aws_code, "Message": "no"}}, "Op")
    translated = module._translated(error, "doing")
    assert isinstance(translated, ChaosctlError)
    assert translated.code == code


def test_other_exceptions_stay_what_they_are() -> None:
    error = ValueError("ours")
    assert module._translated(error, "doing") is error


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    with pytest.raises(Unreachable) as caught:
        Aws({**ENV, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "us-west-2").caller()
    assert caught.value.code == "AWS-UNREACHABLE"


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(PreconditionFailed) as caught:
        Aws({}, "us-west-2").caller()
    assert caught.value.code == "AWS-NO-CREDENTIALS"


def test_a_profile_that_does_not_exist_does_not_matter_with_own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with mock_aws():
        assert Aws(ENV, "us-west-2").caller().account


def test_a_profile_that_does_not_exist_is_an_error_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(PreconditionFailed):
        Aws({}, "us-west-2").caller()


def test_a_token_is_a_presigned_identity_that_names_the_cluster() -> None:
    token = Aws(ENV, "us-west-2").eks_token("shop")
    encoded = token.text.removeprefix("k8s-aws-v1.")
    url = urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    query = {k: v[0] for k, v in parse_qs(url.query).items()}
    assert url.hostname == "sts.us-west-2.amazonaws.com"
    assert (query["Action"], query["X-Amz-Expires"]) == ("GetCallerIdentity", "60")
    assert query["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id"
    assert timedelta(minutes=13) < token.expires - datetime.now(UTC) < timedelta(minutes=15)
    assert ENV["AWS_SECRET_ACCESS_KEY"] not in str(url)


def test_own_keys_need_nothing_of_the_users_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[broken")
    hostile = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "nonsense",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_MAX_ATTEMPTS": "x",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    client = Aws({**ENV, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "us-west-2").client("s3")
    assert client.meta.endpoint_url == "http://127.0.0.1:1"
    assert client.meta.config.proxies == {}
