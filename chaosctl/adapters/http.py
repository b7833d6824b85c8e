"""Timed HTTP requests, as a browser or a curl would make them."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chaosctl.errors import Unreachable, UsageProblem

TIMEOUT = 10.0  # seconds for each of: connecting, reading


@dataclass(frozen=True)
class Served:
    """The certificate that a server showed, verified, and the version of TLS."""

    names: tuple[str, ...]
    issuer: str
    not_after: datetime
    version: str


@dataclass(frozen=True)
class Reply:
    """An answer. Times in seconds: `dns` and `connect` (TLS included) are 0 on a connection that was open already."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    dns: float
    connect: float
    total: float


def checked(url: str) -> str:
    """The URL, which has a scheme that we speak, a host and at most a port that exists. Raises UsageProblem."""
    try:
        parts = urlsplit(url)
        asked = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0  # a wrong port raises
        why = "" if asked else "it names no host to ask by HTTP"
    except ValueError as error:
        why = str(error)
    if why:
        raise UsageProblem(
            f"{url!r} is not a URL",
            code="URL-INVALID",
            why=why,
            remedy="give one like http://host:port/path or https://host",
        )
    return url


class Site:
    """One origin; requests go one after the other over a connection that is kept open.

    Certificates are always verified: against the system's authorities, and those in `ca_file` where it is given.
    `served` is that of the last connection; None without TLS and before the first one.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT, ca_file: Path | None = None) -> None:
        parts = urlsplit(checked(url))
        self.url = url.rstrip("/")
        self._host, self._prefix = parts.hostname or "", parts.path.rstrip("/")
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = _trust(ca_file) if parts.scheme == "https" else None
        self.served: Served | None = None
        self._netloc, self._timeout = parts.netloc.rpartition("@")[2], timeout
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str) -> Reply:
        """GET `path`. Raises Unreachable when no complete answer comes; a bad status is an answer."""
        started = time.perf_counter()
        fresh = self._connection is None
        try:
            dns, connect = self._connect() if fresh else (0.0, 0.0)
            return self._exchange(path, started, dns, connect)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            self.close()
            if not fresh:  # an idle connection that the other side had closed: not its failure
                return self.get(path)
            raise self._unreachable(path, error) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(path, error) from error

    def close(self) -> None:
        """Give the connection up; the next request opens another."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def _connect(self) -> tuple[float, float]:
        begun = time.perf_counter()
        family, kind, protocol, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
        resolved = time.perf_counter()
        raw = socket.socket(family, kind, protocol)
        try:
            raw.settimeout(self._timeout)
            raw.connect(address)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = self._shake_hands(raw) if self._tls else raw
        except BaseException:
            raw.close()
            raise
        self._connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        self._connection.sock = sock
        return resolved - begun, time.perf_counter() - resolved

    def _shake_hands(self, raw: socket.socket) -> ssl.SSLSocket:
        assert self._tls is not None
        wrapped = self._tls.wrap_socket(raw, server_hostname=self._host)
        self.served = _served(wrapped)
        return wrapped

    def _exchange(self, path: str, started: float, dns: float, connect: float) -> Reply:
        assert self._connection is not None
        headers = {"Host": self._netloc, "Accept": "application/json", "User-Agent": "chaosctl"}
        self._connection.request("GET", self._prefix + path, headers=headers)
        answer = self._connection.getresponse()
        body = answer.read()
        total = time.perf_counter() - started
        if answer.will_close:
            self.close()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, body, dns, connect, total)

    def _unreachable(self, path: str, error: Exception) -> Unreachable:
        return Unreachable(
            f"{self.url}{path} does not answer",
            code="HTTP-UNREACHABLE",
            why=_in_words(error, self._host, self._port, self._timeout),
            remedy="see with `chaosctl status` whether it is deployed and healthy",
        )


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _served(connection: ssl.SSLSocket) -> Served:
    shown: Any = connection.getpeercert() or {}
    issuer = {key: value for part in shown.get("issuer", ()) for key, value in part}
    return Served(
        names=tuple(value for _, value in shown.get("subjectAltName", ())),
        issuer=issuer.get("organizationName") or issuer.get("commonName", ""),
        not_after=datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC),
        version=connection.version() or "",
    )


def _in_words(error: Exception, host: str, port: int, timeout: float) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name {host} does not resolve ({error.strerror})"
    if isinstance(error, TimeoutError):
        return f"{host}:{port} did not answer within {timeout:.0f} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {host}:{port} is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS with {host}:{port} failed: {error.reason or error}"
    return f"{host}:{port}: {error or type(error).__name__}"


def get_text(url: str) -> str:
    """The body behind `url`. Raises Unreachable, also for a status other than 200."""
    parts = urlsplit(url)
    site = Site(f"{parts.scheme}://{parts.netloc}")
    try:
        reply = site.get(parts.path or "/")
    finally:
        site.close()
    if reply.status != 200:
        raise Unreachable(f"{url} does not answer", code="HTTP-UNREACHABLE", why=f"HTTP status {reply.status}")
    return reply.body.decode(errors="replace")
