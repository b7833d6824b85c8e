"""Somebody who is told by SNS over HTTP."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

Received = queue.Queue[dict[str, Any]]  # envelopes, as SNS posts them


@contextmanager
def subscriber(refusals: int = 0) -> Iterator[tuple[str, Received]]:
    """Listens on loopback: its URL, and what it has taken. The first messages it refuses."""
    received, left = Received(), [None] * refusals

    class Subscriber(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            envelope = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if left:
                left.pop()
                self.send_response(503)
            else:
                received.put(envelope)
                self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Subscriber)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", received
    finally:
        server.shutdown()
        server.server_close()
