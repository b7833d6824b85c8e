"""A Kubernetes API server small enough for unit tests: it stores JSON, lists in pages, watches, refuses on demand."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chaosctl.adapters.kube import Kube, Object


class ApiServer(ThreadingHTTPServer):
    """`objects` by URL path; `refuse` answers (status, body) for a (method, path).

    on_delete  is told the path of what is deleted, before that is answered; nothing is deleted by itself
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, Object] = {}
        self.refuse: dict[tuple[str, str], tuple[int, Object]] = {}
        self.requests: list[tuple[str, str, dict[str, str], Any, dict[str, str]]] = []
        self.watches: dict[str, list[Object]] = {}
        self.news = threading.Condition()
        self.closing = False
        self.instead: bytes | None = None  # answers everything, with status 200
        self.on_delete: Callable[[str], None] = lambda path: None

    def put(self, path: str, obj: Object) -> None:
        self.objects[path] = obj

    def tell(self, path: str, kind: str, obj: Object) -> None:
        """Send an event to everybody who watches the list `path`."""
        with self.news:
            self.watches.setdefault(path, []).append({"type": kind, "object": obj})
            self.news.notify_all()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: an answer would wait 40 ms for an acknowledgement
    server: ApiServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.requests.append(
            (self.command, url.path, query, body, {k.lower(): v for k, v in self.headers.items()})
        )
        if refused := self.server.refuse.get((self.command, url.path)):
            return self.answer(*refused)
        if self.command == "DELETE":
            self.server.on_delete(url.path)
        if query.get("watch"):
            return self.stream(url.path)
        if self.command == "GET":
            return self.get(url.path, query)
        return self.answer(200, body or {})

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any

    def get(self, path: str, query: dict[str, str]) -> None:
        if path in self.server.objects:
            return self.answer(200, self.server.objects[path])
        below = [o for p, o in sorted(self.server.objects.items()) if p.rpartition("/")[0] == path]
        if not below and path.rpartition("/")[2] not in ("pods", "configmaps", "deployments", "events", "namespaces"):
            return self.answer(404, {"reason": "NotFound", "message": f"{path} not found"})
        start, limit = int(query.get("continue", "0")), int(query.get("limit", "500"))
        more = str(start + limit) if start + limit < len(below) else ""
        self.answer(
            200, {"metadata": {"resourceVersion": "7", "continue": more}, "items": below[start : start + limit]}
        )
        return None

    def answer(self, status: int, body: Object) -> None:
        data = self.server.instead or json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if self.headers.get("Accept-Encoding") == "gzip":
            data = gzip.compress(data)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, path: str) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        while not self.server.closing:
            with self.server.news:
                waiting = self.server.watches.get(path, [])
                if len(waiting) == sent:
                    self.server.news.wait(0.05)
                    continue
                event = waiting[sent]
            sent += 1
            if event["type"] == "CLOSE":
                break
            line = json.dumps(event).encode() + b"\n"
            # In two pieces, so that a reader that takes a chunk for a line is found out.
            for piece in (line[:5], line[5:]):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        with contextlib.suppress(OSError):  # the watcher may have left
            self.wfile.write(b"0\r\n\r\n")


@contextmanager
def api_server(directory: Path) -> Iterator[tuple[ApiServer, Kube]]:
    """A running server, and a Kube that talks to it."""
    server = ApiServer()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    path = directory / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                "users": [{"name": "u", "user": {"token": "secret"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    try:
        yield server, Kube(path)
    finally:
        server.closing = True
        server.shutdown()
        server.server_close()
