"""A mirror of publishers' files on loopback, which can be made to misbehave; and tools that it serves."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from chaosctl.toolbox.table import Bundle, Download, Tool

PROGRAM = b"#!/bin/sh\necho tool v1.2.3\n"


@dataclass
class Mirror:
    """Serves `files` (path to content). After `break_after` bytes the next `breaks` answers end, or `stalls` hang."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  # path, Range header
    breaks: int = 0
    stalls: int = 0
    break_after: int = 0
    pause: float = 0.0  # seconds before every 64 KiB
    ranges: bool = True
    over: threading.Event = field(default_factory=threading.Event)  # ends what hangs

    def ranges_asked(self) -> list[str]:
        return [header for _, header in self.asked if header]


class _Handler(BaseHTTPRequestHandler):
    mirror: Mirror

    def do_GET(self) -> None:
        mirror, wanted = self.mirror, self.headers.get("Range", "")
        mirror.asked.append((self.path, wanted))
        if self.path not in mirror.files:
            self.send_error(404)
            return
        body = mirror.files[self.path]
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted and mirror.ranges else 0
        if start >= len(body) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self._send(body[start:])

    def _send(self, body: bytes) -> None:
        mirror = self.mirror
        if mirror.breaks:
            mirror.breaks -= 1
            self.wfile.write(body[: mirror.break_after])
            return
        if mirror.stalls:
            mirror.stalls -= 1
            self.wfile.write(body[: mirror.break_after])
            mirror.over.wait()
            return
        for position in range(0, len(body), 1 << 16):
            time.sleep(mirror.pause)
            try:
                self.wfile.write(body[position : position + (1 << 16)])
            except OSError:  # the client was killed
                return

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Mirror]:
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        mirror = handler.mirror = Mirror(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield mirror
        mirror.over.set()
        server.shutdown()
        thread.join()


def program(size: int = 0) -> bytes:
    """A script that says its version, made `size` bytes long."""
    return PROGRAM + b"#" * max(0, size - len(PROGRAM))


def archive(member: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as opened:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        opened.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def bundle(path: str, content: bytes, *, member: str = "", checksums: str = "", name: str = "example") -> Bundle:
    """The table's entry for a tool of which the publisher offers `content` at https://example.test/PATH."""
    digest = hashlib.sha256(content).hexdigest()
    pins = {} if checksums else {"amd64": digest, "arm64": digest}
    download = Download(f"https://example.test{path}", {name: member}, pins, checksums)
    return Bundle(name, "1.2.3", (Tool(name, ("--version",), (1, 2), (2,)),), f"install {name}", download)
