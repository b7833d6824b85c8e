"""How AWS says no: each protocol has codes, a status and a form of its own. SDKs try none of these again."""

from __future__ import annotations

import json
import re
from enum import Enum, auto
from http import HTTPStatus
from wsgiref.types import WSGIEnvironment
from xml.sax.saxutils import escape

from chaosctl.lab.aws.repeats import Answer

SCOPE = re.compile(r"Credential=[^/,]*/\d+/[^/,]+/(?P<service>[a-z0-9-]+)/")
CBOR_PATH = re.compile(r"/service/[^/]+/operation/(?P<operation>\w+)")
XML_SERVICES = {"route53", "cloudfront"}  # those of REST services whose errors look as in the query protocol


class Why(Enum):
    """What is wrong with a request, whatever its protocol calls that."""

    NOT_SIGNED = auto()
    UNKNOWN_KEY = auto()
    WRONG_TOKEN = auto()
    WRONG_SIGNATURE = auto()
    SESSION_OVER = auto()
    SKEWED = auto()
    OTHER_BODY = auto()
    NOT_PERMITTED = auto()


class Protocol(Enum):
    """How the error is written."""

    QUERY = auto()
    EC2 = auto()
    JSON = auto()
    CBOR = auto()
    REST_JSON = auto()
    S3 = auto()


class Refusal(Exception):
    """The request is refused; the text says why."""

    def __init__(self, why: Why, text: str) -> None:
        super().__init__(text)
        self.why = why


# https://docs.aws.amazon.com/IAM/latest/UserGuide/CommonErrors.html, and those of EC2, S3 and of JSON services.
QUERY = {
    Why.NOT_SIGNED: (403, "MissingAuthenticationToken"),
    Why.UNKNOWN_KEY: (403, "InvalidClientTokenId"),
    Why.WRONG_TOKEN: (403, "InvalidClientTokenId"),
    Why.WRONG_SIGNATURE: (403, "SignatureDoesNotMatch"),
    Why.SESSION_OVER: (403, "ExpiredToken"),
    Why.SKEWED: (403, "SignatureDoesNotMatch"),
    Why.OTHER_BODY: (403, "SignatureDoesNotMatch"),
    Why.NOT_PERMITTED: (403, "AccessDenied"),
}
EC2 = {
    Why.NOT_SIGNED: (403, "MissingAuthenticationToken"),
    Why.UNKNOWN_KEY: (401, "AuthFailure"),
    Why.WRONG_TOKEN: (401, "AuthFailure"),
    Why.WRONG_SIGNATURE: (401, "AuthFailure"),
    Why.SESSION_OVER: (400, "RequestExpired"),
    Why.SKEWED: (400, "RequestExpired"),
    Why.OTHER_BODY: (401, "AuthFailure"),
    Why.NOT_PERMITTED: (403, "UnauthorizedOperation"),
}
JSON = {
    Why.NOT_SIGNED: "MissingAuthenticationTokenException",
    Why.UNKNOWN_KEY: "UnrecognizedClientException",
    Why.WRONG_TOKEN: "UnrecognizedClientException",
    Why.WRONG_SIGNATURE: "InvalidSignatureException",
    Why.SESSION_OVER: "ExpiredTokenException",
    Why.SKEWED: "InvalidSignatureException",
    Why.OTHER_BODY: "InvalidSignatureException",
    Why.NOT_PERMITTED: "AccessDeniedException",
}
S3 = {
    Why.NOT_SIGNED: (403, "AccessDenied"),
    Why.UNKNOWN_KEY: (403, "InvalidAccessKeyId"),
    Why.WRONG_TOKEN: (400, "InvalidToken"),
    Why.WRONG_SIGNATURE: (403, "SignatureDoesNotMatch"),
    Why.SESSION_OVER: (400, "ExpiredToken"),
    Why.SKEWED: (403, "RequestTimeTooSkewed"),
    Why.OTHER_BODY: (400, "XAmzContentSHA256Mismatch"),
    Why.NOT_PERMITTED: (403, "AccessDenied"),
}
CODES = {
    Protocol.QUERY: QUERY,
    Protocol.EC2: EC2,
    Protocol.JSON: {why: (400, code) for why, code in JSON.items()},
    Protocol.CBOR: {why: (400, code) for why, code in JSON.items()},
    Protocol.REST_JSON: {why: (403, code) for why, code in JSON.items()},
    Protocol.S3: S3,
}


def of(environ: WSGIEnvironment, refusal: Refusal) -> Answer:
    """The answer to a request that is refused."""
    status, code = CODES[protocol_of(environ)][refusal.why]
    return error(environ, code, str(refusal), status)


def error(environ: WSGIEnvironment, code: str, message: str, status: int = 400) -> Answer:
    """An error in the form that the client of this request reads."""
    kind, content = _written(protocol_of(environ), code, message)
    headers = [("Content-Type", kind), ("x-amzn-ErrorType", code)]
    if kind == "application/cbor":
        headers.append(("smithy-protocol", "rpc-v2-cbor"))
    return f"{status} {HTTPStatus(status).phrase}", headers, b"" if environ["REQUEST_METHOD"] == "HEAD" else content


def protocol_of(environ: WSGIEnvironment) -> Protocol:
    """The protocol in which somebody asks, told from the request alone."""
    scope = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = scope["service"] if scope else ""
    if environ.get("HTTP_X_AMZ_TARGET"):
        return Protocol.JSON
    if CBOR_PATH.fullmatch(environ.get("PATH_INFO", "")):
        return Protocol.CBOR
    form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    if (form and service != "s3") or service in XML_SERVICES:
        return Protocol.EC2 if service == "ec2" else Protocol.QUERY
    return Protocol.S3 if service in ("", "s3") else Protocol.REST_JSON


def _written(protocol: Protocol, code: str, message: str) -> tuple[str, bytes]:
    body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>"
    match protocol:
        case Protocol.QUERY:
            text = f"<ErrorResponse>{body}<Type>Sender</Type></Error><RequestId>chaosctl</RequestId></ErrorResponse>"
            return "text/xml", text.encode()
        case Protocol.EC2:
            text = f"<Response><Errors>{body}</Error></Errors><RequestID>chaosctl</RequestID></Response>"
            return "text/xml", text.encode()
        case Protocol.S3:
            return "application/xml", f"{body}<RequestId>chaosctl</RequestId></Error>".encode()
        case Protocol.CBOR:
            said = {"__type": code, "message": message}
            pairs = (part for pair in said.items() for part in pair)
            return "application/cbor", bytes([0xA0 | len(said)]) + b"".join(map(_cbor, pairs))
        case _:
            return "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message}).encode()


def _cbor(text: str) -> bytes:
    """A text string of CBOR (RFC 8949, major type 3), its length in two bytes."""
    data = text.encode()[:0xFFFF]
    return b"\x79" + len(data).to_bytes(2, "big") + data
