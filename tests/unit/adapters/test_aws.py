from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.credentials import SSOProvider
from botocore.exceptions import ClientError
from botocore.tokens import SSOTokenProvider
from moto import mock_aws

from chaosctl.adapters import aws as module
from chaosctl.adapters.aws import Aws, AwsRefused, Login
from chaosctl.errors import ChaosctlError, PreconditionFailed, Unreachable
from tests.unit.adapters.web_server import web_server

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


# --- how long credentials last


def test_keys_last_for_ever_and_a_shell_may_say_until_when(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Aws(ENV, "us-west-2").login() == Login(None, renewed=False)
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2126-11-27T22:00:00+01:00")
    assert Aws({}, "us-west-2").login() == Login(datetime(2126, 11, 27, 21, tzinfo=UTC), renewed=False)
    # those are the shell's: a target's own keys do not end with them
    assert Aws(ENV, "us-west-2").login().until is None


def test_what_a_shell_says_to_be_over_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENV, "AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with pytest.raises(PreconditionFailed) as over:
        Aws({}, "us-west-2").caller()
    assert over.value.code == "AWS-CREDENTIALS"


def test_what_a_program_hands_out_is_renewed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    told = {"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s", "SessionToken": "t"}
    (tmp_path / "told").write_text(json.dumps({**told, "Expiration": until.isoformat()}))
    configured(monkeypatch, tmp_path, f"[profile p]\ncredential_process = cat {tmp_path / 'told'}\n")
    assert Aws({"AWS_PROFILE": "p"}, "us-west-2").login() == Login(until, renewed=True)


def configured(monkeypatch: pytest.MonkeyPatch, home: Path, config: str) -> None:
    """A user whose ~/.aws/config says that, and nothing else does."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CREDENTIAL_EXPIRATION"):
        monkeypatch.delenv(name, raising=False)
    (home / "config").write_text(config)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "none"))
    monkeypatch.setattr(SSOProvider, "_SSO_TOKEN_CACHE_DIR", str(home / ".aws" / "sso" / "cache"))
    monkeypatch.setattr(SSOTokenProvider, "_SSO_TOKEN_CACHE_DIR", str(home / ".aws" / "sso" / "cache"))


START = "https://example.awsapps.com/start"
ROLE = "sso_account_id = 123456789012\nsso_role_name = deployer\n"
LEGACY = f"[profile p]\nsso_start_url = {START}\nsso_region = us-west-2\n{ROLE}"
SESSION = (
    f"[profile p]\nsso_session = work\n{ROLE}[sso-session work]\nsso_start_url = {START}\nsso_region = us-west-2\n"
)


def logged_in(home: Path, key: str, hours: float, **more: str) -> datetime:
    """What `aws sso login` leaves: a token that lasts that long."""
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours)
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    told = {"startUrl": START, "accessToken": "token", "expiresAt": until.strftime("%Y-%m-%dT%H:%M:%SZ"), **more}
    (cache / f"{hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()}.json").write_text(json.dumps(told))
    return until


@pytest.mark.parametrize(("config", "key"), [(LEGACY, START), (SESSION, "work")])
def test_a_login_with_sso(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: str, key: str) -> None:
    configured(monkeypatch, tmp_path, config)
    until = logged_in(tmp_path, key, 0.5)
    soon = int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1000)
    role = {"accessKeyId": "AKIAROLE", "secretAccessKey": "s", "sessionToken": "t", "expiration": soon}
    with web_server() as sso:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", sso.url)
        asked = "/federation/credentials?role_name=deployer&account_id=123456789012"
        sso.answers[asked] = {"roleCredentials": role}
        aws = Aws({"AWS_PROFILE": "p"}, "us-west-2")
        assert aws.login() == Login(until, renewed=False)
        assert (
            "AKIAROLE" in base64.urlsafe_b64decode(aws.eks_token("c").text.removeprefix("k8s-aws-v1.") + "==").decode()
        )


def test_a_login_with_sso_that_renews_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configured(monkeypatch, tmp_path, SESSION)
    until = logged_in(tmp_path, "work", 0.5, refreshToken="r")
    assert Aws({"AWS_PROFILE": "p"}, "us-west-2").login() == Login(until, renewed=True)


@pytest.mark.parametrize(("config", "key"), [(LEGACY, START), (SESSION, "work"), (LEGACY, "somewhere else")])
def test_a_login_with_sso_that_is_over_or_never_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: str, key: str
) -> None:
    configured(monkeypatch, tmp_path, config)
    logged_in(tmp_path, key, -1)
    with pytest.raises(PreconditionFailed) as over:
        Aws({"AWS_PROFILE": "p"}, "us-west-2").caller()
    assert over.value.code == "AWS-NO-CREDENTIALS"
    assert "aws sso login" in over.value.remedy
