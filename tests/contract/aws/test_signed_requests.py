"""Only what somebody has signed with a key that is good reaches moto."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from moto.sts.models import sts_backends

from chaosctl.lab.aws import operator_account
from chaosctl.lab.aws.world import LOCK
from tests.contract.aws.conftest import OWN_TRUST, REGION, Lab

ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
NONE: Mapping[str, str] = {}
KEYS = ["plain", "a b+c/ü?x", "tilde~%25&=", "dots/../x", "trailing/"]
# One service of each protocol, an operation of it, and how AWS calls the two errors there.
ASKED: list[tuple[str, str, Any, str, str]] = [
    ("sts", "get_caller_identity", {}, "SignatureDoesNotMatch", "InvalidClientTokenId"),
    ("ec2", "describe_vpcs", {}, "AuthFailure", "AuthFailure"),
    ("logs", "describe_log_groups", {}, "InvalidSignatureException", "UnrecognizedClientException"),
    ("eks", "list_clusters", {}, "InvalidSignatureException", "UnrecognizedClientException"),
    ("s3", "list_buckets", {}, "SignatureDoesNotMatch", "InvalidAccessKeyId"),
    ("cloudwatch", "describe_alarms", {}, "InvalidSignatureException", "UnrecognizedClientException"),
]
EACH = pytest.mark.parametrize(("service", "operation", "arguments", "wrong", "unknown"), ASKED)


def with_key(lab: Lab, service: str, key: str, secret: str, token: str | None = None) -> Any:
    options = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
    return lab.client(service, **options)


def session(lab: Lab, name: str = "somebody") -> dict[str, Any]:
    iam = lab.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(OWN_TRUST))["Role"]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn=ADMINISTRATOR)
    granted: dict[str, Any] = lab.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    return granted


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


@EACH
def test_whoever_does_not_sign_is_refused(
    lab: Lab, service: str, operation: str, arguments: Any, wrong: str, unknown: str
) -> None:
    client = lab.client(service, config=Config(signature_version=UNSIGNED, retries={"max_attempts": 0}))
    with pytest.raises(ClientError, match=r"MissingAuthenticationToken|AccessDenied") as error:
        getattr(client, operation)(**arguments)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)


@EACH
def test_wrong_secrets_and_unknown_keys_are_refused_in_the_words_of_the_service(
    lab: Lab, service: str, operation: str, arguments: Any, wrong: str, unknown: str
) -> None:
    for key, secret, expected in (
        (lab.key["AccessKeyId"], "wrong", wrong),
        ("AKIAUNKNOWN000000000", lab.key["SecretAccessKey"], unknown),
    ):
        with pytest.raises(ClientError) as error:
            getattr(with_key(lab, service, key, secret), operation)(**arguments)
        assert code_of(error) == expected


def test_a_refusal_is_not_tried_again(lab: Lab) -> None:
    patient = {"config": Config(retries={"mode": "standard", "total_max_attempts": 3})}
    for service, operation, *_ in ASKED:
        client = lab.client(service, aws_access_key_id=lab.key["AccessKeyId"], aws_secret_access_key="x", **patient)
        with pytest.raises(ClientError) as error:
            getattr(client, operation)()
        assert error.value.response["ResponseMetadata"]["RetryAttempts"] == 0, service


def test_a_session_needs_its_token(lab: Lab) -> None:
    granted = session(lab)
    key, secret = granted["AccessKeyId"], granted["SecretAccessKey"]
    assert with_key(lab, "iam", key, secret, granted["SessionToken"]).list_users()["Users"]
    for token in (None, "wrong"):
        with pytest.raises(ClientError) as error:
            with_key(lab, "iam", key, secret, token).list_users()
        assert code_of(error) == "InvalidClientTokenId"
    with pytest.raises(ClientError) as error:
        with_key(lab, "iam", lab.key["AccessKeyId"], lab.key["SecretAccessKey"], granted["SessionToken"]).list_users()
    assert code_of(error) == "InvalidClientTokenId"


def test_a_session_ends(lab: Lab) -> None:
    granted = session(lab)
    with LOCK:
        (kept,) = sts_backends["123456789012"]["aws"].assumed_roles
        kept.expiration = datetime.now() - timedelta(hours=1)
    with pytest.raises(ClientError) as error:
        with_key(
            lab, "sts", granted["AccessKeyId"], granted["SecretAccessKey"], granted["SessionToken"]
        ).get_caller_identity()
    assert code_of(error) == "ExpiredToken"


def test_a_key_that_was_deactivated_is_refused_and_a_restart_makes_the_operator_whole(lab: Lab) -> None:
    iam = lab.client("iam")
    iam.detach_user_policy(UserName=operator_account.USER, PolicyArn=ADMINISTRATOR)
    with pytest.raises(ClientError, match="AccessDenied"):
        iam.list_users()
    with LOCK:
        operator_account.ensure(lab.layout.aws / "operator.json")
    iam.update_access_key(UserName=operator_account.USER, AccessKeyId=lab.key["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError) as error:
        iam.list_users()
    assert code_of(error) == "InvalidClientTokenId"
    with LOCK:
        operator_account.ensure(lab.layout.aws / "operator.json")
    assert iam.list_users()["Users"]


# --- requests by hand


def signed(
    lab: Lab, service: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = NONE
) -> AWSRequest:
    """A request of the operator."""
    request = AWSRequest(method, lab.url + path, dict(headers), body)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(Credentials(lab.key["AccessKeyId"], lab.key["SecretAccessKey"]), service, REGION).add_auth(request)
    return request


def send(request: AWSRequest, body: bytes | None = None, headers: Mapping[str, str] = NONE) -> tuple[int, str]:
    """Status and text of the answer, to the request with another body and further headers than were signed."""
    data = (body or request.data or None) if request.method != "GET" else None
    sent = {**dict(request.headers), **headers}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(str(request.url), data, sent, method=request.method)
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
WHO = b"Action=GetCallerIdentity&Version=2011-06-15"


def test_a_body_that_was_changed_is_refused(lab: Lab) -> None:
    request = signed(lab, "sts", "POST", "/", WHO, FORM)
    assert send(request)[0] == 200
    status, text = send(request, WHO + b"&x=1")
    assert (status, "SignatureDoesNotMatch" in text) == (403, True)


def test_so_is_one_whose_hash_was_declared(lab: Lab) -> None:
    lab.client("s3").create_bucket(Bucket="one", CreateBucketConfiguration={"LocationConstraint": REGION})
    request = signed(lab, "s3", "PUT", "/one/key", b"said", {"Content-Type": "text/plain"})
    assert send(request)[0] == 200
    status, text = send(request, b"else")
    assert (status, "XAmzContentSHA256Mismatch" in text) == (400, True)


@pytest.mark.parametrize("payload", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_only_s3_lets_the_body_be_left_out(lab: Lab, payload: str) -> None:
    request = signed(lab, "sts", "POST", "/", WHO, {**FORM, "X-Amz-Content-SHA256": payload})
    assert send(request)[0] == 403


def test_path_query_and_method_are_signed(lab: Lab) -> None:
    request = signed(lab, "eks", "GET", "/clusters?maxResults=5")
    assert send(request)[0] == 200
    for change in ("/clusters", "/clusters?maxResults=6", "/addons/supported-versions?maxResults=5"):
        changed = AWSRequest("GET", lab.url + change, dict(request.headers))
        assert send(changed)[0] == 403, change


def test_headers_that_decide_must_be_signed(lab: Lab) -> None:
    request = signed(lab, "logs", "POST", "/", b"{}", {"Content-Type": "application/x-amz-json-1.1"})
    status, text = send(request, headers={"X-Amz-Target": "Logs_20140328.DescribeLogGroups"})
    assert (status, "x-amz-target are not signed" in text) == (400, True)


def test_repeated_parameters_and_odd_spaces(lab: Lab) -> None:
    path = "/clusters?include=b&include=a&include=a%20b&maxResults=5&empty"
    assert send(signed(lab, "eks", "GET", path, headers={"X-Amz-Meta-Note": "  two   spaces "}))[0] == 200


@pytest.mark.parametrize("minutes", [-20, 20])
def test_what_was_signed_at_another_time_is_refused(lab: Lab, minutes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: at)
    status, text = send(signed(lab, "sts", "POST", "/", WHO, FORM))
    assert (status, "Signature expired" in text) == (403, True)
    assert "RequestTimeTooSkewed" in send(signed(lab, "s3", "GET", "/"))[1]


def test_a_region_that_moto_would_take_for_a_key_is_refused(lab: Lab) -> None:
    request = AWSRequest("POST", lab.url + "/", FORM, WHO)
    key = Credentials(lab.key["AccessKeyId"], lab.key["SecretAccessKey"])
    SigV4Auth(key, "sts", "AKIA0123456789ABCDEF").add_auth(request)
    assert send(request)[0] == 403


def test_nobody_acts_in_another_account(lab: Lab) -> None:
    request = signed(lab, "sts", "POST", "/", WHO, FORM)
    assert "<Account>123456789012</Account>" in send(request, headers={"X-Moto-Account-Id": "210987654321"})[1]


# --- S3


@pytest.fixture
def bucket(lab: Lab) -> str:
    lab.client("s3").create_bucket(Bucket="odd", CreateBucketConfiguration={"LocationConstraint": REGION})
    return "odd"


@pytest.mark.parametrize("key", KEYS)
def test_objects_with_odd_names(lab: Lab, bucket: str, key: str) -> None:
    s3 = lab.client("s3")
    s3.put_object(Bucket=bucket, Key=key, Body=b"content", Metadata={"under_score": "1"})
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"content"
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]] == [key]
    s3.delete_object(Bucket=bucket, Key=key)


@pytest.mark.parametrize("key", KEYS)
def test_a_presigned_request_is_good_as_it_is_only(lab: Lab, bucket: str, key: str) -> None:
    s3 = lab.client("s3", config=Config(signature_version="s3v4"))
    s3.put_object(Bucket=bucket, Key=key, Body=b"content")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"content"
    for changed in (url[:-4] + "0000", url.replace("/odd/", "/odd/other"), url.replace("Expires=60", "Expires=61")):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(changed)


def test_a_presigned_request_ends(lab: Lab, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = lab.client("s3", config=Config(signature_version="s3v4"))
    past = datetime.now(UTC) - timedelta(minutes=10)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: past)
    url = s3.generate_presigned_url("list_buckets", ExpiresIn=300)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url)


def test_only_s3_and_identities_are_presigned(lab: Lab) -> None:
    url = lab.client("iam").generate_presigned_url("list_users", HttpMethod="GET")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url)


def test_a_body_that_is_signed_in_pieces(lab: Lab, bucket: str) -> None:
    """As the Go SDK sends one that it cannot read twice: the first signature is checked, not those of the pieces."""
    body = b"7;chunk-signature=" + b"0" * 64 + b"\r\ncontent\r\n0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n"
    headers = {
        "Content-Encoding": "aws-chunked",
        "X-Amz-Decoded-Content-Length": "7",
        "X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "Content-Type": "binary/octet-stream",
    }
    request = AWSRequest("PUT", f"{lab.url}/odd/pieces", headers, body)
    SigV4AuthForS3(Credentials(lab.key["AccessKeyId"], lab.key["SecretAccessKey"]), "s3", REGION).add_auth(request)
    assert send(request)[0] == 200
    assert lab.client("s3").get_object(Bucket=bucket, Key="pieces")["Body"].read() == b"content"


class SigV4AuthForS3(SigV4Auth):
    """Leaves the declared hash as it is."""

    def _normalize_url_path(self, path: str) -> str:
        return path


# --- who needs no signature, and who gets nothing at all


@pytest.mark.parametrize("client", ["unsigned", "signed"])
@pytest.mark.parametrize("way", ["web_identity", "saml"])
def test_a_token_from_elsewhere_gives_nobody_a_role(lab: Lab, client: str, way: str) -> None:
    options = (
        {"config": Config(signature_version=UNSIGNED, retries={"max_attempts": 0})} if client == "unsigned" else {}
    )
    role = "arn:aws:iam::123456789012:role/any"
    sts = lab.client("sts", **options)
    with pytest.raises(ClientError) as error:
        if way == "saml":
            sts.assume_role_with_saml(RoleArn=role, PrincipalArn=role + "x" * 20, SAMLAssertion="x" * 20)
        else:
            sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="me", WebIdentityToken="x" * 20)
    assert code_of(error) == "InvalidIdentityToken"


@pytest.mark.parametrize(
    "path", ["/moto-api/reset", "/moto-api/data.json", "/%6doto-api/reset", "/latest/meta-data/iam"]
)
def test_what_moto_has_for_its_tests_is_not_there(lab: Lab, path: str) -> None:
    lab.client("iam").create_role(RoleName="kept", AssumeRolePolicyDocument="{}")
    assert send(AWSRequest("POST", lab.url + path, {}, b""))[0] == 404
    assert send(signed(lab, "s3", "POST", path, b"x"))[0] == 404
    assert [role["RoleName"] for role in lab.client("iam").list_roles()["Roles"]] == ["kept"]


@pytest.mark.parametrize("header", [{"Origin": "http://127.0.0.1"}, {"Host": "evil.example"}, {"Host": "10.0.0.1"}])
@pytest.mark.parametrize("path", ["/", "/chaosctl/health", "/v1/credentials"])
def test_web_pages_reach_nothing(lab: Lab, path: str, header: dict[str, str]) -> None:
    assert send(AWSRequest("GET", lab.url + path, {}), headers=header)[0] == 403


def test_a_path_that_only_decodes_to_one_of_the_labs_own_is_none(lab: Lab) -> None:
    """The gateway keeps pods from those by what they send."""
    assert send(AWSRequest("GET", f"{lab.url}/chaosctl/health", {}))[0] == 200
    assert send(AWSRequest("GET", f"{lab.url}/%63haosctl/health", {}))[0] == 403


def test_text_that_looks_like_a_parameter_is_text(lab: Lab) -> None:
    text = "https://example/?a=1&Action=DeleteSecret&b=2"
    secrets = lab.client("secretsmanager")
    secrets.create_secret(Name="url", SecretString=text)
    assert secrets.get_secret_value(SecretId="url")["SecretString"] == text
