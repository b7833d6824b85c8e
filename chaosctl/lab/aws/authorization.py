"""Who may do what, for the services whose point is that not everybody may: moto itself lets anybody do anything.

Of IAM's language this knows Effect, Action, Resource and their wildcards; a statement with anything else never allows,
and denies as if its condition held.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from wsgiref.types import WSGIEnvironment

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.iam.access_control import CreateAccessKeyFailure, IAMPolicy, create_access_key
from moto.secretsmanager.models import secretsmanager_backends

from .signatures import Refused, key_of

GUARDED = {"secretsmanager"}
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,]+)/\d{8}/(?P<region>[^/,]+)/(?P<service>[^/,]+)/aws4_request, *"
    r"SignedHeaders=(?P<headers>[^,]+), *Signature=(?P<signature>[0-9a-f]{64})"
)


class Denied(Exception):
    """The request is refused with this error code of AWS; the text says why."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


def check(environ: WSGIEnvironment, body: bytes) -> None:
    """Raises Denied when a guarded service is asked by somebody unknown, or for something that they may not do."""
    service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
    if service not in GUARDED:
        return
    signed = AUTHORIZATION.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
    if signed is None:
        raise Denied("MissingAuthenticationTokenException", "the request is not signed")
    token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
    try:
        key = key_of(signed["key"])
    except Refused as why:
        raise Denied("UnrecognizedClientException", str(why)) from why
    if key.session_token != token:
        raise Denied("UnrecognizedClientException", "the security token is not that of the session")
    if not hmac.compare_digest(
        _signature(environ, body, signed, Credentials(signed["key"], key.secret, token)), signed["signature"]
    ):
        raise Denied("InvalidSignatureException", "the signature is wrong")
    account = key.identity.account
    resource = _secret(account, signed["region"], json.loads(body or b"{}"))
    if not permitted(_policies(account, signed["key"], token), f"{service}:{operation}", resource):
        raise Denied(
            "AccessDeniedException",
            f"User: {key.identity.arn} is not authorized to perform: {service}:{operation} on resource: {resource} "
            "because no identity-based policy allows the action",
        )


def permitted(documents: Iterator[Mapping[str, Any]], action: str, resource: str) -> bool:
    """What policies together say: a denial wins over any permission."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in _listed(document["Statement"])
        if _concerns(statement, action, resource)
    }
    return effects == {"Allow"}


def _concerns(statement: Mapping[str, Any], action: str, resource: str) -> bool:
    if statement["Effect"] == "Allow" and not {"Effect", "Action", "Resource", "Sid"} >= statement.keys():
        return False
    actions, resources = _listed(statement.get("Action", "*")), _listed(statement.get("Resource", "*"))
    return any(_matches(one, action) for one in actions) and any(_matches(one, resource) for one in resources)


def _matches(pattern: str, text: str) -> bool:
    regex = "".join({"*": ".*", "?": "."}.get(character) or re.escape(character) for character in pattern)
    return re.fullmatch(regex, text, re.DOTALL) is not None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _policies(account: str, access_key: str, token: str | None) -> Iterator[Mapping[str, Any]]:
    try:
        found = create_access_key(account, "aws", access_key, {"X-Amz-Security-Token": token} if token else {})
    except CreateAccessKeyFailure as error:
        raise Denied("UnrecognizedClientException", error.reason) from error
    for policy in found.collect_policies():
        yield IAMPolicy(policy)._policy_json


def _secret(account: str, region: str, asked: Mapping[str, Any]) -> str:
    """ARN of the secret that a request is about, or * for one about all."""
    name = asked.get("SecretId")
    if not name:
        return "*"
    secrets = secretsmanager_backends[account][region].secrets
    found = next((secret for secret in secrets.values() if name in (secret.arn, secret.name)), None)
    return str(found.arn) if found else f"arn:aws:secretsmanager:{region}:{account}:secret:{name}"


def _signature(environ: WSGIEnvironment, body: bytes, signed: re.Match[str], credentials: Credentials) -> str:
    headers = {name: _header(environ, name) for name in signed["headers"].split(";")}
    request = AWSRequest(environ["REQUEST_METHOD"], f"http://{headers['host']}{environ['PATH_INFO']}", headers, body)
    request.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(credentials, signed["service"], signed["region"])
    return str(auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request))


def _header(environ: WSGIEnvironment, name: str) -> str:
    variable = name.upper().replace("-", "_")
    return str(environ.get(f"HTTP_{variable}") or environ.get(variable, ""))
