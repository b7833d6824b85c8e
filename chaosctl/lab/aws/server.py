"""The HTTP side of the lab's AWS: moto, and in front of it what moto has no idea of."""

from __future__ import annotations

import io
import ipaddress
import json
import logging
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.base_backend import BackendDict
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from chaosctl.lab.aws import authentication, authorization, operations, pod_identity, refusals, signed_requests
from chaosctl.lab.aws.logs.service import Logs
from chaosctl.lab.aws.patience import Patience
from chaosctl.lab.aws.repeats import Answer, Repeats
from chaosctl.lab.aws.signatures import Refused, identify
from chaosctl.lab.aws.signed_requests import raw_path
from chaosctl.lab.aws.world import LOCK, Changes
from chaosctl.lab.layout import Layout

log = logging.getLogger(__name__)

CLUSTER_PATH = re.compile(r"/chaosctl/clusters/(?P<name>[^/]+)/(?P<what>authenticate|mutate-pods)")
READ_ONLY = re.compile(r"(Describe|List|Get|Head|Lookup|BatchGet|Search|Filter|Scan|Query|Simulate)(?=[A-Z]|$)")
GLOBAL_DEFAULT_REGION = "us-east-1"
# moto's own paths: the first wipes everything, the others hand out credentials that nobody has.
MOTOS_OWN = ("/moto-api", "/latest/meta-data/", "/latest/api/", "/favicon.ico")
FEDERATED = {"AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"}

Body = Iterable[bytes]


class UnknownService(Exception):
    """moto has no module for that service."""


class Dispatcher(DomainDispatcherApplication):
    """moto's dispatcher, which neither prints nor breaks on services that moto does not have."""

    def __init__(self) -> None:
        super().__init__(_create_app)

    def prepare(self, service: str) -> None:
        """Build the application of a service now."""
        with LOCK, self.lock:
            if service not in self.app_instances:
                self.app_instances[service] = self.create_app(service)

    def get_backend_for_host(self, host: str | None) -> Any:
        """Name of moto's module for the host. Raises UnknownService."""
        if host is None or host == "moto_api":
            return host
        for backend, pattern in self.backend_url_patterns:
            if host == backend or pattern.match(f"http://{host}"):
                return backend
        raise UnknownService(host.split(".")[0])


def _create_app(service: Any) -> Any:
    # moto makes a backend in us-east-1 only to read its URL table; with its default VPC and images that is large.
    with LOCK:
        backends = get_backend(service)
        account = dict.get(backends, DEFAULT_ACCOUNT_ID) if isinstance(backends, BackendDict) else None
        before = set(account.keys()) if account is not None else set()
        app = create_backend_app(service)
        if isinstance(backends, BackendDict) and GLOBAL_DEFAULT_REGION not in before:
            dict.pop(backends[DEFAULT_ACCOUNT_ID], GLOBAL_DEFAULT_REGION, None)
        return app


class Front:
    """The WSGI application: the lab's own paths, presigned identities, and moto for those who signed, and may."""

    def __init__(self, layout: Layout, changes: Changes) -> None:
        self._layout = layout
        self._changes = changes
        self._moto = Dispatcher()
        self._patience = Patience(changes)
        self._repeats = Repeats()
        self.logs = Logs(layout)

    def warm_up(self) -> None:
        """Build what the first request to each service would wait for: a second for EC2 alone."""
        for service in ("sts", "ec2", "iam", "eks", "kms", "logs", "s3"):
            self._moto.prepare(service)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        """Answer one request."""
        body = _read(environ)
        path = environ.get("PATH_INFO", "")
        own = _not_for_us(environ) or self._own_answer(environ, body)
        if own is not None:
            return _respond(start_response, *own)
        if (refused := _refused(environ, body)) is not None:
            status, headers, content = refused
            start_response(status, headers)
            return [content]
        own = self.logs.answer(environ.get("HTTP_X_AMZ_TARGET", ""), environ.get("HTTP_AUTHORIZATION", ""), body)
        if own is not None:
            return _respond(start_response, *own)
        self._patience.hold(environ["REQUEST_METHOD"], path)
        changing = not reads_only(environ, body)
        with LOCK:
            if changing and (earlier := self._repeats.earlier(environ)):
                status, headers, content = earlier
            else:
                status, headers, content = self._ask_moto(environ)
                if changing:
                    self._repeats.keep(environ, (status, headers, content))
        if changing:
            self._changes.announce()
        start_response(status, headers)
        return [content]

    # --- the lab's own paths

    def _own_answer(self, environ: WSGIEnvironment, body: bytes) -> tuple[int, Any] | None:
        path = raw_path(environ)  # the gateway, which keeps pods away from these, compares what was sent
        if path == "/chaosctl/health":
            return 200, {"status": "ok", "lab": str(self._layout.root)}
        if path == "/v1/credentials":
            return self._credentials(environ)
        if match := CLUSTER_PATH.fullmatch(path):
            return _webhook(match["name"], match["what"], body)
        if path.startswith("/chaosctl/"):
            return 404, {"message": f"there is no {path}"}
        if _is_presigned_identity(environ):
            return _caller_identity(environ)
        return None

    def _credentials(self, environ: WSGIEnvironment) -> tuple[int, Any]:
        cluster = environ.get("HTTP_X_CHAOSCTL_CLUSTER", "")
        token = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
        try:
            with LOCK:
                granted = pod_identity.credentials(self._layout, cluster, token)
        except pod_identity.Denied as why:
            log.info("no credentials for a pod of %s: %s", cluster, why)
            return 403, {"message": str(why)}
        self._changes.announce()
        return 200, granted

    # --- moto

    def _ask_moto(self, environ: WSGIEnvironment) -> Answer:
        head: list[tuple[str, list[tuple[str, str]]]] = []

        def remember(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], object]:
            head[:] = [(status, headers)]
            return lambda _data: None

        try:
            content = b"".join(self._moto(environ, remember))
        except NotImplementedError as error:
            return refusals.error(environ, "UnknownOperationException", f"the lab's AWS lacks this: {error}")
        except UnknownService as error:
            return refusals.error(environ, "UnknownOperationException", f"the lab's AWS has no {error}")
        except Exception as error:
            # As a 500 it would be retried for minutes, and end the same.
            log.exception("%s %s", environ["REQUEST_METHOD"], environ.get("PATH_INFO"))
            return refusals.error(environ, "LabDefect", f"{type(error).__name__}: {error}")
        status, headers = head[0]
        if _is_web_page(content):
            return refusals.error(environ, "UnknownOperationException", "the lab's AWS lacks this operation")
        return status, headers, content


def _read(environ: WSGIEnvironment) -> bytes:
    """The whole body, which is left in `environ` to be read again: nobody waits for a slow client under the lock."""
    length = environ.get("CONTENT_LENGTH")
    if length:
        body = environ["wsgi.input"].read(int(length))
    elif environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read()
    else:
        body = b""
    environ["wsgi.input"] = io.BytesIO(body)
    return bytes(body)


def reads_only(environ: WSGIEnvironment, body: bytes) -> bool:
    """Whether the request surely changes nothing, judged by its operation's name."""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return READ_ONLY.match(target.rsplit(".", 1)[-1]) is not None
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        action = re.search(rb"(?:^|&)Action=(\w+)", body)
        return action is not None and READ_ONLY.match(action[1].decode()) is not None
    return environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS")


def _is_web_page(content: bytes) -> bool:
    # What Flask answers for a path that moto has not: no SDK can read that. Its type alone does not tell: moto's own
    # 404 of an S3 object is text/html too, without a page.
    return content[:15].lower() == b"<!doctype html>"


def _not_for_us(environ: WSGIEnvironment) -> tuple[int, Any] | None:
    """The answer to browsers, also to those that were told a false address for a name, and for moto's own paths."""
    if environ.get("HTTP_ORIGIN"):
        return 403, {"message": "the lab's AWS is not for web pages"}
    host = environ.get("HTTP_HOST", "")
    if not is_own_host(host):
        return 403, {"message": f"{host} is neither an address of this machine nor a name of AWS"}
    if environ.get("PATH_INFO", "").startswith(MOTOS_OWN):
        return 404, {"message": f"there is no {environ['PATH_INFO']}"}
    return None


def is_own_host(host: str) -> bool:
    """Whether a Host header may lead here: no name that somebody could let point to this machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        address = ipaddress.ip_address(name)
    except ValueError:
        name = host.rsplit(":", 1)[0]
        return name == "localhost" or re.fullmatch(r"([a-z0-9-]+\.)+amazonaws\.com", name.lower()) is not None
    return address.is_loopback or address.is_link_local


def _is_federated(environ: WSGIEnvironment, body: bytes) -> bool:
    """AssumeRoleWithWebIdentity and the like, which need no signature, and for which moto gives anybody any role."""
    signed = environ.get("HTTP_AUTHORIZATION") or "X-Amz-Signature=" in environ.get("QUERY_STRING", "")
    to_sts = "/sts/aws4_request" in environ.get("HTTP_AUTHORIZATION", "")
    return bool((to_sts or not signed) and FEDERATED & operations.named(environ, body))


def _refused(environ: WSGIEnvironment, body: bytes) -> Answer | None:
    """The answer to whoever did not sign, or may not; None for the others."""
    if _is_federated(environ, body):
        why = "the lab's AWS has no identity provider whose tokens it could verify"
        return refusals.error(environ, "InvalidIdentityToken", why)
    try:
        caller = signed_requests.verify(environ, body)
        authorization.check(environ, body, caller)
    except refusals.Refusal as refusal:
        log.info("refused: %s", refusal)
        return refusals.of(environ, refusal)
    # These would let moto act in another account or region than it was signed for.
    environ.pop("HTTP_X_MOTO_ACCOUNT_ID", None)
    environ["HTTP_USER_AGENT"] = re.sub(r"\bregion/\S+", "", environ.get("HTTP_USER_AGENT", ""))
    return None


def _webhook(cluster: str, what: str, body: bytes) -> tuple[int, Any]:
    try:
        request = json.loads(body)
    except ValueError:
        return 400, {"message": "the body is not JSON"}
    with LOCK:
        if what == "authenticate":
            return 200, authentication.review(cluster, request)
        return 200, pod_identity.mutate(cluster, request)


def _is_presigned_identity(environ: WSGIEnvironment) -> bool:
    # moto takes it for S3, and answers 200 to anybody.
    query = parse_qs(environ.get("QUERY_STRING", ""))
    asked = query.get("Action") == ["GetCallerIdentity"] and "X-Amz-Signature" in query
    return environ["REQUEST_METHOD"] == "GET" and asked


def _caller_identity(environ: WSGIEnvironment) -> tuple[int, Any]:
    query = parse_qs(environ["QUERY_STRING"])
    signed = query.get("X-Amz-SignedHeaders", [""])[0].split(";")
    headers = {name: environ.get(f"HTTP_{name.upper().replace('-', '_')}", "") for name in signed if name != "host"}
    try:
        with LOCK:
            identity = identify(f"http://{environ['HTTP_HOST']}/?{environ['QUERY_STRING']}", headers)
    except Refused as why:
        return 403, {"Error": {"Code": "SignatureDoesNotMatch", "Message": str(why), "Type": "Sender"}}
    result = {"Account": identity.account, "Arn": identity.arn, "UserId": identity.user_id}
    return 200, {"GetCallerIdentityResponse": {"GetCallerIdentityResult": result}}


def _respond(start_response: StartResponse, status: int, content: Any) -> Body:
    body = json.dumps(content).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [body]


class _Handler(MotoRequestHandler):
    # Head and body are two writes: with Nagle's algorithm a kept-alive connection stalls for 40 ms on each answer.
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are not logged: a `terraform apply` makes thousands."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Errors go to the log of the process."""
        log.warning(message, *args)


def serve(address: str, port: int, app: Front) -> BaseWSGIServer:
    """A server that listens already; `serve_forever` answers, a thread for each connection."""
    return make_server(address, port, app, threaded=True, request_handler=_Handler)
