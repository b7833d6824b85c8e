"""A web server for unit tests: answers by path, and can misbehave."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chaosctl.lab.pki import Authority, Identity, key_pem

HEALTHY: dict[str, Any] = {
    "/": {"service": "chaotic-backend", "status": "running"},
    "/health/live": {"status": "alive"},
    "/health/ready": {"status": "ready"},
    "/probe/data": {"users": [{"id": 1}]},
}


class Web(ThreadingHTTPServer):
    """`answers` by path: an object (sent as JSON with 200), or (status, bytes). `connections` counts them."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self._scheme = "https" if tls else "http"
        self.answers: dict[str, Any] = dict(HEALTHY)
        self.delay = 0.0
        self.software = "test"  # the Server header
        self.hang_up_after = 0  # close each connection, without saying so, after that many answers
        self.connections = 0

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Web

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1
        self.answered = 0

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def version_string(self) -> str:
        return self.server.software

    def do_GET(self) -> None:
        time.sleep(self.server.delay)
        answer = self.server.answers.get(self.path, (404, b"{}"))
        status, body = answer if isinstance(answer, tuple) else (200, json.dumps(answer).encode())
        self.send_response(status)
        self.send_header("Server-Name", "test")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.answered += 1
        if self.answered == self.server.hang_up_after:
            self.close_connection = True


def certified(directory: Path, authority: Authority, *, days: float = 300) -> ssl.SSLContext:
    """What a server on 127.0.0.1 needs for TLS: a certificate of this authority that ends in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    identity = Identity("", "test", names=("127.0.0.1",))
    made = authority.certify(identity, key.public_key(), timedelta(days=days))
    file = directory / "server.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@contextmanager
def web_server(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    server = Web(tls)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
