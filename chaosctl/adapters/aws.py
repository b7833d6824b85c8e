"""The AWS API: who we are, the cluster, tokens for it. botocore's errors leave here as ChaosctlErrors.

botocore is imported when the first request is made: it takes a fifth of a second that most commands can do without.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chaosctl.errors import ChaosctlError, PreconditionFailed, StageFailed, Unreachable

TOKEN_PREFIX = "k8s-aws-v1."  # noqa: S105, the public name of the format
TOKEN_LIFE = timedelta(minutes=14)  # EKS accepts a token for 15 minutes after it was signed, whatever X-Amz-Expires
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 30, 4

EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
BAD_CREDENTIALS = {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure"}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden"}


class AwsRefused(StageFailed):
    """AWS answered with an error; `aws_code` is its name for it."""

    aws_code = ""

    @property
    def not_found(self) -> bool:
        """Whether it says that there is no such thing."""
        return "NotFound" in self.aws_code or self.aws_code in {"NoSuchEntity", "NoSuchBucket", "404"}


@dataclass(frozen=True)
class Caller:
    """Who AWS takes us for."""

    account: str
    arn: str


@dataclass(frozen=True)
class Login:
    """How long credentials last: `until` (None: nobody says), and whether new ones come then without a person."""

    until: datetime | None
    renewed: bool


@dataclass(frozen=True)
class Cluster:
    """An EKS cluster; `ca` is its certificate authority, base64 of PEM as in a kubeconfig; empty while CREATING."""

    name: str
    arn: str
    status: str
    version: str
    endpoint: str
    ca: str
    vpc_id: str
    created: datetime | None = None


@dataclass(frozen=True)
class Token:
    """A bearer token for the API server of a cluster. Keep it out of logs and arguments."""

    text: str
    expires: datetime


def environment(region: str, profile: str | None) -> dict[str, str]:
    """Target.aws_env where the usual places of the AWS SDKs have the credentials; a profile that is named wins."""
    told = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    if profile is None:
        return told
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "")  # else they would win
    return {**told, **keys, "AWS_PROFILE": profile}


class Aws:
    """One account and region. `env` is Target.aws_env: what it lacks comes from the usual places of the AWS SDKs."""

    def __init__(self, env: Mapping[str, str], region: str) -> None:
        self._env, self.region = env, region
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """A botocore client; threads may share it. Prefer `call` and `pages`, which translate errors."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make_client(service)
            return self._clients[service]

    def _make_client(self, service: str) -> Any:
        from botocore.config import Config

        if self._session is None:
            self._session = _session(self._env, self.region)
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "max_attempts": ATTEMPTS},
            user_agent_extra="chaosctl",
            proxies={} if self._env.get("AWS_ENDPOINT_URL") else None,  # an endpoint of our own is reached directly
        )
        return self._session.create_client(service, endpoint_url=self._env.get("AWS_ENDPOINT_URL"), config=config)

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        """One request, by the operation's name in snake case. Raises AwsRefused, Unreachable or PreconditionFailed."""
        try:
            return getattr(self.client(service), operation)(**arguments)
        except Exception as error:
            raise _translated(error, f"{service} {operation}") from error

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
        """The items under `key` of all pages of a list or describe operation."""
        try:
            client = self.client(service)
            if not client.can_paginate(operation):
                yield from getattr(client, operation)(**arguments).get(key, ())
                return
            for page in client.get_paginator(operation).paginate(**arguments):
                yield from page.get(key) or ()
        except Exception as error:
            raise _translated(error, f"{service} {operation}") from error

    def caller(self) -> Caller:
        """Who we are. The cheapest check that credentials work."""
        answer = self.call("sts", "get_caller_identity")
        return Caller(answer["Account"], answer["Arn"])

    def login(self) -> Login:
        """How long the credentials in use last. Raises PreconditionFailed when there are none."""
        try:
            self.client("sts")
            credentials = self._session.get_credentials()
            if credentials is None:
                raise _no_credentials("looking at the credentials")
            if credentials.method == "sso":
                return _sso_login(self._session.get_scoped_config(), self._session.full_config)
            credentials.get_frozen_credentials()  # what can be renewed has a time only once it was asked for
        except Exception as error:
            raise _translated(error, "looking at the credentials") from error
        told = os.environ.get("AWS_CREDENTIAL_EXPIRATION", "") if credentials.method == "env" else ""
        until = datetime.fromisoformat(told) if told else getattr(credentials, "_expiry_time", None)
        return Login(until.astimezone(UTC) if until else None, renewed=not told and until is not None)

    def cluster(self, name: str) -> Cluster | None:
        """The EKS cluster, or None when there is none of that name."""
        try:
            c = self.call("eks", "describe_cluster", name=name)["cluster"]
        except AwsRefused as error:
            if error.not_found:
                return None
            raise
        return Cluster(
            name=c["name"],
            arn=c["arn"],
            status=c["status"],
            version=c.get("version", ""),
            endpoint=c.get("endpoint", ""),
            ca=c.get("certificateAuthority", {}).get("data", ""),
            vpc_id=c.get("resourcesVpcConfig", {}).get("vpcId", ""),
            created=c.get("createdAt"),
        )

    def pod_identity_role(self, cluster: str, namespace: str, service_account: str) -> str:
        """ARN of the role that pods of a service account get, or empty when there is no association."""
        found = self.pages(
            "eks",
            "list_pod_identity_associations",
            "associations",
            clusterName=cluster,
            namespace=namespace,
            serviceAccount=service_account,
        )
        association = next(iter(found), None)
        if association is None:
            return ""
        described = self.call(
            "eks",
            "describe_pod_identity_association",
            clusterName=cluster,
            associationId=association["associationId"],
        )
        return str(described["association"]["roleArn"])

    def eks_token(self, cluster: str) -> Token:
        """A token as `aws eks get-token` makes it: a presigned GetCallerIdentity that names the cluster."""
        try:
            signed = self._presigned_identity(cluster)
        except Exception as error:
            raise _translated(error, "signing a token") from error
        text = TOKEN_PREFIX + base64.urlsafe_b64encode(signed.encode()).decode().rstrip("=")
        return Token(text, datetime.now(UTC) + TOKEN_LIFE)

    def _presigned_identity(self, cluster: str) -> str:
        from botocore.signers import RequestSigner

        sts = self.client("sts")
        credentials = self._session.get_credentials()
        if credentials is None:
            raise _no_credentials("signing a token")
        signer = RequestSigner(
            sts.meta.service_model.service_id, self.region, "sts", "v4", credentials, sts.meta.events
        )
        request = {
            "method": "GET",
            "url": f"{sts.meta.endpoint_url.rstrip('/')}/?Action=GetCallerIdentity&Version=2011-06-15",
            "body": {},
            "headers": {"x-k8s-aws-id": cluster},
            "context": {},
        }
        url: str = signer.generate_presigned_url(
            request, region_name=self.region, expires_in=60, operation_name="GetCallerIdentity"
        )
        return url


def _session(env: Mapping[str, str], region: str) -> Any:
    from botocore.session import Session

    # With keys of its own a target depends on nothing that the user's shell or files happen to say: no profile, no
    # endpoint of a single service, no malformed ~/.aws/config.
    own_keys = bool(env.get("AWS_ACCESS_KEY_ID"))
    cut = _unset(Session.SESSION_VARIABLES) if own_keys else None
    session = Session(session_vars=cut, profile=None if own_keys else env.get("AWS_PROFILE"))
    session.set_config_variable("region", region)
    if own_keys:
        session.set_credentials(
            env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env.get("AWS_SESSION_TOKEN") or None
        )
    return session


def _sso_login(profile: Mapping[str, Any], every: Mapping[str, Any]) -> Login:
    """What `aws sso login` left in its cache: credentials come from there until that ends.

    botocore knows how long the role's credentials last, which it renews, and not how long it can.
    """
    name = profile.get("sso_session")
    session = every.get("sso_sessions", {}).get(name, {}) if name else profile
    key = hashlib.sha1((name or session.get("sso_start_url", "")).encode(), usedforsecurity=False).hexdigest()
    try:
        told = json.loads((Path("~/.aws/sso/cache").expanduser() / f"{key}.json").read_text())
        until = datetime.fromisoformat(told["expiresAt"].replace("UTC", "+00:00")).astimezone(UTC)
    except (OSError, ValueError, KeyError):
        return Login(None, renewed=False)
    return Login(until, renewed=bool(told.get("refreshToken")))


def _unset(variables: Mapping[str, tuple[Any, Any, Any, Any]]) -> dict[str, tuple[Any, Any, Any, Any]]:
    """botocore's variables with their defaults, cut off from environment and files."""
    cut = {name: (None, None, default, convert) for name, (_, _, default, convert) in variables.items()}
    nothing = (None, None, os.devnull, None)
    return {**cut, "config_file": nothing, "credentials_file": nothing}


def _no_credentials(doing: str, why: str = "") -> PreconditionFailed:
    return PreconditionFailed(
        "there are no AWS credentials",
        code="AWS-NO-CREDENTIALS",
        why=why or f"{doing}: none in the environment, the shared files, or from the machine",
        remedy="run `aws sso login` or `aws configure`, or set AWS_PROFILE",
    )


def _translated(error: Exception, doing: str) -> BaseException:
    """What to raise for an exception of botocore; other exceptions come back as they are."""
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return _refused(error, doing)
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return _no_credentials(doing, f"{doing}: {error}")
    if isinstance(
        error, (boto.ProfileNotFound, boto.SSOError, boto.TokenRetrievalError, boto.UnauthorizedSSOTokenError)
    ):
        return _no_credentials(doing, str(error))
    if isinstance(error, RuntimeError) and "still expired" in str(error):  # AWS_CREDENTIAL_EXPIRATION has passed
        return _not_accepted(f"{doing}: {error}")
    if isinstance(error, (boto.HTTPClientError, boto.ConnectionError)):
        return Unreachable(
            "the AWS API does not answer",
            code="AWS-UNREACHABLE",
            why=f"{doing}: {error}",
            remedy="check the network, or `chaosctl lab status` when the target is the lab; then run it again",
        )
    if isinstance(error, boto.BotoCoreError):
        return StageFailed("a request to AWS could not be made", code="AWS-CLIENT", why=f"{doing}: {error}")
    return error


def _not_accepted(why: str) -> PreconditionFailed:
    return PreconditionFailed(
        "AWS does not accept these credentials",
        code="AWS-CREDENTIALS",
        why=why,
        remedy="log in again (`aws sso login`), then check with `aws sts get-caller-identity`",
    )


def _refused(error: Any, doing: str) -> ChaosctlError:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    why = f"{doing}: {code}: {message}"
    if code in EXPIRED | BAD_CREDENTIALS:
        return _not_accepted(why)
    if code in DENIED:
        return PreconditionFailed(
            "these AWS credentials may not do that",
            code="AWS-DENIED",
            why=why,
            remedy="use a role that may; docs/bootstrap.md lists what is needed",
        )
    refused = AwsRefused(
        "AWS refused a request", code="AWS-REFUSED", why=why, remedy="correct what it names, then again"
    )
    refused.aws_code = code
    return refused
