"""Who signed a request: Signature Version 4, in the header or, for S3, in the query. moto itself looks at no signature.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlsplit
from wsgiref.types import WSGIEnvironment

from botocore.utils import normalize_url_path

from chaosctl.lab.aws.refusals import Refusal, Why
from chaosctl.lab.aws.signatures import Identity, Key, Refused, SessionOver, key_of
from chaosctl.lab.aws.world import LOCK

# What moto tells from this header (service, region, and whose account) it must tell as we do: nothing but small letters
# where a second access key would be found.
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[A-Z0-9]+)/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)"
    r"/aws4_request, *SignedHeaders=(?P<headers>[a-z0-9;._-]+), *Signature=(?P<signature>[0-9a-f]{64})"
)
CREDENTIAL = re.compile(
    r"(?P<key>[A-Z0-9]+)/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/aws4_request"
)
PRESIGNED = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders")
# What S3 allows. Others are said to allow five minutes, which on a machine with one clock would tell nothing more, and
# would refuse what was signed before the machine slept or was busy.
SKEW = timedelta(minutes=15)
LONGEST = 7 * 24 * 3600  # seconds that X-Amz-Expires may say
STAMP = "%Y%m%dT%H%M%SZ"
UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True)
class Caller:
    """Who asks, and for which service and region they signed."""

    identity: Identity
    service: str
    region: str
    presigned: bool = False


@dataclass(frozen=True)
class Claim:
    """What a request says about its signature, before it is believed."""

    key: str
    day: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str
    token: str | None
    lifetime: int | None  # seconds, of a presigned request


def verify(environ: WSGIEnvironment, body: bytes) -> Caller:
    """The signer of a request whose body has been read. Raises Refusal."""
    claim = _presigned(environ) if _signature_in_query(environ) else _in_header(environ)
    key = _key(claim)
    moment = _moment(environ, claim)
    _check_headers(environ, claim)
    payload = _payload(environ, claim, body)
    secret = _signing_key(key.secret, claim.day, claim.region, claim.service)
    text = f"AWS4-HMAC-SHA256\n{moment}\n{claim.day}/{claim.region}/{claim.service}/aws4_request\n"
    for path in _paths(environ, claim.service):
        digest = hashlib.sha256(_canonical(environ, claim, path, payload)).hexdigest()
        if hmac.compare_digest(hmac.new(secret, (text + digest).encode(), "sha256").hexdigest(), claim.signature):
            return Caller(key.identity, claim.service, claim.region, presigned=claim.lifetime is not None)
    raise Refusal(
        Why.WRONG_SIGNATURE,
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method.",
    )


def raw_path(environ: WSGIEnvironment) -> str:
    """The path as it was sent: clients sign it so, and moto finds the operation by it."""
    sent = environ.get("RAW_URI") or quote(environ.get("PATH_INFO", ""), encoding="latin-1")
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", sent):
        sent = urlsplit(sent).path
    return re.split("[?#]", sent, maxsplit=1)[0] or "/"


# --- what the request claims


def _signature_in_query(environ: WSGIEnvironment) -> bool:
    return "X-Amz-Signature=" in environ.get("QUERY_STRING", "") and "HTTP_AUTHORIZATION" not in environ


def _in_header(environ: WSGIEnvironment) -> Claim:
    said = environ.get("HTTP_AUTHORIZATION")
    if not said:
        raise Refusal(Why.NOT_SIGNED, "Request is missing Authentication Token")
    found = AUTHORIZATION.fullmatch(said)
    if found is None:
        raise Refusal(Why.WRONG_SIGNATURE, "the header Authorization is no Signature Version 4")
    headers = tuple(found["headers"].split(";"))
    token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
    return Claim(
        found["key"], found["day"], found["region"], found["service"], headers, found["signature"], token, None
    )


def _presigned(environ: WSGIEnvironment) -> Claim:
    pairs = [(name, value) for name, value in parse_qsl(environ["QUERY_STRING"]) if name.startswith("X-Amz-")]
    query = dict(pairs)
    scope = CREDENTIAL.fullmatch(query.get("X-Amz-Credential", ""))
    if len(query) != len(pairs) or not all(query.get(name) for name in PRESIGNED) or scope is None:
        raise Refusal(Why.WRONG_SIGNATURE, "the query is not that of a presigned request")
    if scope["service"] != "s3":  # moto takes whatever is presigned for S3
        raise Refusal(Why.WRONG_SIGNATURE, "only requests to S3, and GetCallerIdentity, may be presigned")
    lifetime = query["X-Amz-Expires"]
    if not lifetime.isdecimal() or not 1 <= int(lifetime) <= LONGEST:
        raise Refusal(Why.WRONG_SIGNATURE, "X-Amz-Expires must be between 1 and 604800 seconds")
    headers = tuple(query["X-Amz-SignedHeaders"].split(";"))
    signature, token = query["X-Amz-Signature"], query.get("X-Amz-Security-Token")
    return Claim(scope["key"], scope["day"], scope["region"], "s3", headers, signature, token, int(lifetime))


def _key(claim: Claim) -> Key:
    try:
        with LOCK:
            key = key_of(claim.key)
    except SessionOver as why:
        raise Refusal(Why.SESSION_OVER, "The security token included in the request is expired") from why
    except Refused as why:
        raise Refusal(Why.UNKNOWN_KEY, "The security token included in the request is invalid.") from why
    if not hmac.compare_digest((key.session_token or "").encode(), (claim.token or "").encode()):
        raise Refusal(Why.WRONG_TOKEN, "The security token included in the request is invalid.")
    return key


def _moment(environ: WSGIEnvironment, claim: Claim) -> str:
    """When it was signed, as in the text that was signed; near enough to now."""
    said = _said(environ, claim, "X-Amz-Date")
    try:
        if said:
            signed = datetime.strptime(said, STAMP).replace(tzinfo=UTC)
        else:
            signed = parsedate_to_datetime(environ.get("HTTP_DATE", "")).astimezone(UTC)
    except (ValueError, TypeError) as error:
        raise Refusal(Why.WRONG_SIGNATURE, "the request has no date that can be read") from error
    if not said and "date" not in claim.headers:
        raise Refusal(Why.WRONG_SIGNATURE, "its date is not signed")
    until = SKEW if claim.lifetime is None else timedelta(seconds=claim.lifetime)
    now = datetime.now(UTC)
    if not signed - SKEW <= now <= signed + until:
        raise Refusal(Why.SKEWED, f"Signature expired: it is of {signed:{STAMP}}, and now is {now:{STAMP}}")
    if f"{signed:%Y%m%d}" != claim.day:
        raise Refusal(Why.WRONG_SIGNATURE, "its credential scope is of another day")
    return f"{signed:{STAMP}}"


def _said(environ: WSGIEnvironment, claim: Claim, name: str) -> str:
    if claim.lifetime is not None:
        return next((value for key, value in parse_qsl(environ["QUERY_STRING"]) if key == name), "")
    return str(environ.get(f"HTTP_{name.upper().replace('-', '_')}", ""))


def _check_headers(environ: WSGIEnvironment, claim: Claim) -> None:
    """What decides about the request has to be signed, or else a key that is good for one would be good for another."""
    signed = {name.replace("_", "-") for name in claim.headers}
    present = {name[5:].lower().replace("_", "-") for name in environ if name.startswith("HTTP_X_AMZ_")}
    if missing := ({"host"} | present) - signed:
        raise Refusal(Why.WRONG_SIGNATURE, f"the headers {', '.join(sorted(missing))} are not signed")


# --- what has been signed


def _payload(environ: WSGIEnvironment, claim: Claim, body: bytes) -> str:
    """What stands for the body in the signed text. S3 lets clients leave the body out, or sign it piece by piece."""
    said = environ.get("HTTP_X_AMZ_CONTENT_SHA256") or ""
    if claim.lifetime is not None:
        said = said or _said(environ, claim, "X-Amz-Content-Sha256") or UNSIGNED
    if claim.service == "s3" and (said == UNSIGNED or said.startswith("STREAMING-")):
        return str(said)
    digest = hashlib.sha256(body).hexdigest()
    if said not in ("", digest):
        raise Refusal(Why.OTHER_BODY, "The provided 'x-amz-content-sha256' header does not match what was computed.")
    return digest


def _paths(environ: WSGIEnvironment, service: str) -> Iterator[str]:
    """The forms in which clients sign the path: S3's as it is, others' escaped once more, by some normalised."""
    sent = raw_path(environ)
    if service == "s3":
        yield quote(unquote_to_bytes(sent.encode("latin-1")), safe="/~")
        return
    normal = quote(normalize_url_path(sent), safe="/~", encoding="latin-1")
    literal = quote(sent, safe="/~", encoding="latin-1")
    yield normal
    if literal != normal:
        yield literal


def _canonical(environ: WSGIEnvironment, claim: Claim, path: str, payload: str) -> bytes:
    lines = [f"{name}:{_header(environ, name)}" for name in claim.headers]
    parts = (environ["REQUEST_METHOD"], path, _query(environ), *lines, "", ";".join(claim.headers), payload)
    return "\n".join(parts).encode("latin-1")  # as WSGI has decoded it


def _query(environ: WSGIEnvironment) -> str:
    pairs = []
    for pair in environ.get("QUERY_STRING", "").split("&"):
        name, _, value = (_escaped(part) for part in pair.partition("="))
        if pair and name != "X-Amz-Signature":
            pairs.append((name, value))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _escaped(text: str) -> str:
    return quote(unquote_to_bytes(text.encode("latin-1")), safe="~")


def _header(environ: WSGIEnvironment, name: str) -> str:
    variable = name.upper().replace("-", "_")
    value = environ.get(f"HTTP_{variable}")
    return " ".join(str(environ.get(variable, "") if value is None else value).split())


@functools.lru_cache(maxsize=4096)
def _signing_key(secret: str, *scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
