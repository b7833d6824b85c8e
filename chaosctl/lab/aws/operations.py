"""What a signed request asks for, in IAM's words: actions, and the resource where it can be told.

moto finds the operation by X-Amz-Target (corrections/operations.py), then by the parameter Action, wherever that is,
then by the path. A request that says more than one of these is not given a name here: it would be permitted as the one
and carried out as another.
"""

from __future__ import annotations

import functools
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from wsgiref.types import WSGIEnvironment

from botocore.exceptions import UnknownServiceError
from moto.core.request import Request
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from moto.secretsmanager.models import secretsmanager_backends
from werkzeug.exceptions import HTTPException

from chaosctl.lab.aws.refusals import CBOR_PATH
from chaosctl.lab.aws.signed_requests import Caller, raw_path
from chaosctl.lab.aws.world import LOCK

# Nobody's policy names this: only one for all actions of the service, or for all, allows it.
UNKNOWN = "?"
LARGEST = 16 * 1024 * 1024  # bytes of a compressed body

# Services whose actions have another prefix than what requests are signed for.
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
PREFIXES = {"monitoring": "cloudwatch", "tagging": "tag", "email": "ses"}
# S3's actions that are not called as the operation is.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
S3_ACTIONS = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteObjects": "DeleteObject",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycle": "GetLifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectAttributes": "GetObject",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListParts": "ListMultipartUploadParts",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycle": "PutLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutBucketReplication": "PutReplicationConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "SelectObjectContent": "GetObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
}
S3_VERSIONED = {"GetObject", "DeleteObject", "GetObjectAcl", "PutObjectAcl", "GetObjectTagging", "PutObjectTagging"}


@dataclass(frozen=True)
class Need:
    """A right: `resource` is an ARN, * for all, None when it cannot be told."""

    action: str
    resource: str | None


@dataclass(frozen=True)
class Asked:
    """What has to be permitted, all of it."""

    needs: tuple[Need, ...]
    known: Mapping[str, str] = field(default_factory=dict)  # condition keys, in small letters
    exact: bool = False  # what cannot be told permits nothing


def asked(environ: WSGIEnvironment, body: bytes, caller: Caller) -> Asked:
    """What the request is about."""
    request = _Request(environ, body, caller)
    prefix = PREFIXES.get(caller.service, caller.service)
    names = request.names()
    name = names.pop() if len(names) == 1 else UNKNOWN
    if not name.isalnum():  # moto takes create_user for CreateUser
        name = UNKNOWN
    return Asked(
        needs=(
            *(Need(f"{prefix}:{action}", request.resource(name)) for action in request.actions(name)),
            *request.sources(name),
        ),
        known=request.known(),
        exact=caller.service == "secretsmanager",
    )


def named(environ: WSGIEnvironment, body: bytes) -> set[str]:
    """The operations that parameters and headers name."""
    found = {value for name, value in parse_qsl(environ.get("QUERY_STRING", "")) if name == "Action"}
    if target := environ.get("HTTP_X_AMZ_TARGET"):  # its body is no form, whatever somebody's text in it looks like
        return found | {target.rpartition(".")[2]}
    found |= {value for name, value in _parameters(environ, body) if name == "Action"}
    if action := environ.get("HTTP_ACTION"):  # moto takes headers for parameters when there are no others
        found.add(action)
    if match := CBOR_PATH.fullmatch(raw_path(environ)):
        found.add(match["operation"])
    return found


def _parameters(environ: WSGIEnvironment, body: bytes) -> list[tuple[str, str]]:
    """The parameters in the body, of whatever type: moto looks for some in any."""
    if environ.get("CONTENT_TYPE", "").startswith("multipart/"):
        return [("Action", UNKNOWN)]
    try:
        plain = _plain(environ, body)
        return parse_qsl(plain.decode(), keep_blank_values=True, max_num_fields=10_000) if b"=" in plain else []
    except UnicodeDecodeError:
        return []  # moto cannot read these as parameters either
    except ValueError:
        return [("Action", UNKNOWN)]


def _plain(environ: WSGIEnvironment, body: bytes) -> bytes:
    if environ.get("HTTP_CONTENT_ENCODING") != "gzip":
        return body
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = reader.decompress(body, LARGEST)
    except zlib.error as error:
        raise ValueError("not gzip") from error
    if reader.unconsumed_tail:
        raise ValueError("too large")
    return plain


class _Request:
    """A signed request, as far as its rights are concerned."""

    def __init__(self, environ: WSGIEnvironment, body: bytes, caller: Caller) -> None:
        self._environ, self._body, self._caller = environ, body, caller

    def names(self) -> set[str]:
        """Everything that moto might take for the operation's name."""
        if self._caller.service == "s3":
            return {self._rest[0]}
        names = named(self._environ, self._body)
        if self._is_rest or not names:
            names.add(self._rest[0])
        return names

    def actions(self, name: str) -> Iterator[str]:
        """The action for an operation, and those that AWS wants in addition."""
        if self._caller.service == "s3":
            name = S3_ACTIONS.get(name, name)
            versioned = name in S3_VERSIONED and "versionId" in self._query
            yield f"{name.replace('Object', 'ObjectVersion')}" if versioned else name
            return
        yield name
        # Who makes something with tags has to be allowed to tag.
        if self._caller.service == "elasticloadbalancing" and name.startswith("Create") and self._has("Tags."):
            yield "AddTags"
        if self._caller.service == "ec2" and name != "CreateTags" and self._has("TagSpecification."):
            yield "CreateTags"

    def resource(self, name: str) -> str | None:
        """ARN of what it is about."""
        match self._caller.service:
            case "s3":
                # Which ones it deletes is said in the body: whoever may delete any of the bucket needs not be read.
                return self._object() + ("/*" if name == "DeleteObjects" else "")
            case "secretsmanager":
                return self._secret()
            case "sts" if name == "AssumeRole":
                return self._only("RoleArn")
        return None

    def sources(self, name: str) -> Iterator[Need]:
        """What is read by the way."""
        if name in ("CopyObject", "UploadPartCopy"):
            source = urlsplit(self._environ.get("HTTP_X_AMZ_COPY_SOURCE", ""))
            yield Need(
                f"s3:GetObject{'Version' if source.query else ''}", f"arn:aws:s3:::{unquote(source.path).lstrip('/')}"
            )

    def known(self) -> dict[str, str]:
        """The condition keys whose values are certain."""
        external = self._only("ExternalId")
        return {
            "aws:principalaccount": self._caller.identity.account,
            "aws:principalarn": self._caller.identity.principal,
            "aws:requestedregion": self._caller.region,
            "aws:securetransport": "true",  # it never leaves this machine
            **({"sts:externalid": external} if external else {}),
        }

    @cached_property
    def _parameters(self) -> list[tuple[str, str]]:
        query = parse_qsl(self._environ.get("QUERY_STRING", ""), keep_blank_values=True)
        return query + _parameters(self._environ, self._body)

    @cached_property
    def _query(self) -> set[str]:
        return {key for key, _ in parse_qsl(self._environ.get("QUERY_STRING", ""), keep_blank_values=True)}

    def _only(self, name: str) -> str | None:
        """The value of a parameter; None when it has several: moto would take one, and here it would be another."""
        values = {value for key, value in self._parameters if key == name}
        return values.pop() if len(values) == 1 else None

    def _has(self, prefix: str) -> bool:
        return any(key.startswith(prefix) for key, _ in self._parameters)

    @cached_property
    def _is_rest(self) -> bool:
        try:
            protocol = str(get_service_model(self._caller.service).metadata.get("protocol", ""))
        except UnknownServiceError:
            return False
        return protocol.startswith("rest")

    @cached_property
    def _rest(self) -> tuple[str, Mapping[str, Any]]:
        """The operation by method and path, as moto finds it, and what the path says."""
        if self._caller.service == "s3" and self._is_strange():
            return UNKNOWN, {}
        try:
            router = get_service_router(self._caller.service)
            operation, found = router.match(Request({**self._environ, "wsgi.input": io.BytesIO(self._body)}))
        except (HTTPException, NotImplementedError, UnknownServiceError):
            return UNKNOWN, {}
        return str(operation.name), found

    # --- S3

    def _is_strange(self) -> bool:
        """Whether moto might do something else than what method and path say: forms, and two operations in one."""
        sub_resources = self._query & _s3_sub_resources()
        form = self._body and self._environ.get("CONTENT_TYPE", "").startswith(("application/x-www-form", "multipart/"))
        path, host = raw_path(self._environ), self._environ.get("HTTP_HOST", "")
        control = path.startswith("/v20180820/") or "s3-control" in host  # another service, which moto tells so
        return bool(form) or control or len(sub_resources) > 1 or path.startswith("//")

    def _object(self) -> str:
        """A bucket, or an object in it; * for what is not understood."""
        _, found = self._rest
        bucket, key = found.get("Bucket"), found.get("Key")
        if not bucket:
            return "*"
        return f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"

    # --- Secrets Manager

    def _secret(self) -> str:
        """The secret that a request is about, or * for one about all."""
        if any(key == "SecretId" for key, _ in self._parameters):  # moto prefers that to the member of the JSON
            return "*"
        account, region, secrets = self._caller.identity.account, self._caller.region, list[Any]()
        try:
            said = json.loads(_plain(self._environ, self._body) or b"{}")
        except ValueError:
            return "*"
        name = said.get("SecretId") if isinstance(said, dict) else None
        if not name:
            return "*"
        with LOCK, suppress(KeyError):  # a region that does not exist has none
            secrets = list(secretsmanager_backends[account][region].secrets.values())
        found = next((secret for secret in secrets if name in (secret.arn, secret.name)), None)
        return str(found.arn) if found else f"arn:aws:secretsmanager:{region}:{account}:secret:{name}"


@functools.cache
def _s3_sub_resources() -> set[str]:
    model = get_service_model("s3")
    uris = (model.operation_model(name).http_trait.query_args for name in model.operation_names)
    return {key for query in uris for key in query} - {"list-type", "select-type"} | {"uploadId"}
