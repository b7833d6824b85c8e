"""Who has which key, and who signed a presigned GetCallerIdentity: what an EKS token is.

moto checks no signature at all, so a naive webhook would let anybody in. Only the URL is looked at; nothing is sent.
What is signed otherwise is looked at in signed_requests.py.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import SplitResult, parse_qsl, urlsplit

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

VALID_FOR = timedelta(minutes=15)  # whatever X-Amz-Expires says, as STS does it
LONGEST = 7 * 24 * 3600  # seconds that X-Amz-Expires may say
CLOCK_SKEW = timedelta(minutes=5)
EMPTY_HASH = hashlib.sha256(b"").hexdigest()
STS_HOST = re.compile(r"sts(\.[a-z0-9-]+)?\.amazonaws\.com")
PARAMETERS = {
    "Action",
    "Version",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
    "X-Amz-User-Agent",
}


class Refused(Exception):
    """The signature proves nothing; the text says why."""


class SessionOver(Refused):
    """It is that of a session which is over."""


@dataclass(frozen=True)
class Identity:
    """Whoever signed. `principal` is the ARN of the user or role, `arn` that of the user or session."""

    arn: str
    principal: str
    user_id: str
    account: str
    access_key: str
    session_name: str


@dataclass(frozen=True)
class Key:
    """A key that signs: `session_token` is None for that of a user."""

    secret: str
    session_token: str | None
    identity: Identity


def identify(url: str, headers: Mapping[str, str], now: datetime | None = None, longest: int = LONGEST) -> Identity:
    """The signer of a presigned GetCallerIdentity `url`; `headers` are those, beside Host, that must be signed.

    `longest` is the most seconds that its X-Amz-Expires may say.
    Raises Refused for an unknown key, a wrong signature or header, an expired date, or any other request.
    """
    parts = urlsplit(url)
    query = _query(parts)
    _check_host(parts)
    _check_date(query, now or datetime.now(UTC), longest)
    signed = query["X-Amz-SignedHeaders"].split(";")
    values = {"host": parts.netloc, **{name.lower(): value for name, value in headers.items()}}
    if set(signed) != set(values):
        raise Refused(f"it signs the headers {signed}, expected {sorted(values)}")
    access_key, *scope = query["X-Amz-Credential"].split("/")
    if len(scope) != 4 or scope[2:] != ["sts", "aws4_request"] or not query["X-Amz-Date"].startswith(scope[0]):
        raise Refused("its credential scope is not one of STS")
    key = key_of(access_key)
    if key.session_token is not None and query.get("X-Amz-Security-Token") != key.session_token:
        raise Refused("its session token is wrong")
    if not hmac.compare_digest(_signature(key.secret, scope, parts, query, values), query["X-Amz-Signature"]):
        raise Refused("its signature is wrong")
    return key.identity


def _query(parts: SplitResult) -> dict[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = dict(pairs)
    if len(query) != len(pairs) or not query.keys() <= PARAMETERS:
        raise Refused("it has parameters twice, or unexpected ones")
    missing = PARAMETERS - {"X-Amz-Security-Token", "X-Amz-User-Agent", "X-Amz-Expires"} - query.keys()
    if missing or query["Action"] != "GetCallerIdentity" or query["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256":
        raise Refused("it is no presigned GetCallerIdentity")
    if parts.path not in ("", "/"):
        raise Refused("its path is not /")
    return query


def _check_host(parts: SplitResult) -> None:
    # Clients sign for the endpoint that they know: AWS's own names, or an address of this machine.
    host = parts.hostname or ""
    try:
        address = ipaddress.ip_address(host)
        known = address.is_loopback or address.is_link_local
    except ValueError:
        known = host == "localhost" or STS_HOST.fullmatch(host) is not None
    if not known:
        raise Refused(f"{host} is no endpoint of STS")


def _check_date(query: Mapping[str, str], now: datetime, longest: int) -> None:
    try:
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise Refused("its date cannot be read") from error
    lifetime = query.get("X-Amz-Expires", "0")
    if not lifetime.isdecimal() or int(lifetime) > longest:
        raise Refused("its lifetime is too long")
    if signed - CLOCK_SKEW > now:
        raise Refused("its date is in the future")
    if signed + VALID_FOR < now:
        raise Refused("it has expired")


def _signature(
    secret: str, scope: list[str], parts: SplitResult, query: Mapping[str, str], headers: Mapping[str, str]
) -> str:
    pairs = sorted(pair for pair in parts.query.split("&") if not pair.startswith("X-Amz-Signature="))
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers))
    canonical = "\n".join(("GET", "/", "&".join(pairs), lines, query["X-Amz-SignedHeaders"], EMPTY_HASH))
    text = "\n".join(
        ("AWS4-HMAC-SHA256", query["X-Amz-Date"], "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest())
    )
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def key_of(access_key: str) -> Key:
    """The key with that id. Raises Refused when nobody has it, or its session is over."""
    key = _user_key(access_key) or _session_key(access_key)
    if key is None:
        raise Refused("its access key is unknown")
    return key


def _user_key(access_key: str) -> Key | None:
    for account, _, backend in list(iam_backends.iter_backends()):
        for user in backend.users.values():
            for key in user.access_keys:
                if key.access_key_id == access_key and key.status == "Active":
                    identity = Identity(user.arn, user.arn, user.id, account, access_key, "")
                    return Key(key.secret_access_key, None, identity)
    return None


def _session_key(access_key: str) -> Key | None:
    for account, _, backend in list(sts_backends.iter_backends()):
        session = backend.get_assumed_role_from_access_key(access_key)
        if session is None:
            continue
        if session.expiration.replace(tzinfo=UTC) < datetime.now(UTC):
            raise SessionOver("its session has expired")
        identity = Identity(session.arn, session.role_arn, session.user_id, account, access_key, session.session_name)
        return Key(session.secret_access_key, session.session_token, identity)
    return None
