"""Just enough of an HTTP/1.1 client: one GET, and one response read from the bytes as they come.

A general client costs several times the processor time of this one, and the prober has a tenth of a core.
"""

from __future__ import annotations

from urllib.parse import SplitResult

MAX_HEAD = 64 * 1024  # bytes; a longer response head is an error
USER_AGENT = "chaosctl-prober/1"


class BadResponse(Exception):
    """These bytes are no HTTP/1.1 response."""


def request(url: SplitResult, *, keep_alive: bool) -> bytes:
    """The GET request for `url`. Without `keep_alive` the server is asked to close, so that it keeps TIME_WAIT."""
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection = "keep-alive" if keep_alive else "close"
    host = url.netloc.rpartition("@")[2]
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\n"
        f"Accept: */*\r\nConnection: {connection}\r\n\r\n"
    ).encode("ascii")


class Response:
    """One response, fed piece by piece; `done` when it is whole. Then `status`, `body` and `reusable` hold.

    `begun` tells a connection that was closed without an answer from one that was cut in the middle of it.
    """

    __slots__ = ("_buffer", "_chunked", "_need", "body", "done", "reusable", "status")

    def __init__(self) -> None:
        self._buffer = b""
        self._need: int | None = None  # bytes of the body; None: until the connection closes, or chunked
        self._chunked = False
        self.status = 0
        self.body = b""
        self.done = False
        self.reusable = False

    @property
    def begun(self) -> bool:
        """Whether any byte of it has come."""
        return bool(self.status or self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what was received. Raises BadResponse when it makes no sense."""
        self._buffer = self._buffer + data if self._buffer else data
        if not self.status and not self._head():
            return
        if self._chunked:
            self._chunks()
        elif self._need is not None and len(self._buffer) >= self._need:
            # More than was promised belongs to no request of ours: the connection is not used again.
            self.reusable = self.reusable and len(self._buffer) == self._need
            self._finish(self._buffer[: self._need])

    def closed(self) -> None:
        """The server closed the connection: the end of a body whose length was not announced."""
        if self.status and not self.done and self._need is None and not self._chunked:
            self._finish(self._buffer)

    def _finish(self, body: bytes) -> None:
        self.body = body
        self._buffer = b""
        self.done = True

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise BadResponse("a head of more than 64 KiB")
            return False
        head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        if head[:7] != b"HTTP/1." or not head[9:12].isdigit():
            raise BadResponse("no status line")
        self.status = int(head[9:12])
        if 100 <= self.status < 200:  # an interim response: the real one follows
            self.status = 0
            return bool(self._buffer) and self._head()
        self._framing(head)
        return True

    def _framing(self, head: bytes) -> None:
        headers = dict(_header(line) for line in head.lower().split(b"\r\n")[1:])
        connection = headers.get(b"connection", b"keep-alive" if head[7:8] == b"1" else b"close")
        self._chunked = headers.get(b"transfer-encoding", b"").endswith(b"chunked")
        if self.status in (204, 304):
            self._need = 0
        elif not self._chunked and b"content-length" in headers:
            self._need = _number(headers[b"content-length"], 10)
        self.reusable = b"close" not in connection and (self._chunked or self._need is not None)

    def _chunks(self) -> None:
        """Move every whole chunk from the buffer to the body; the last one has size 0 and may bring trailers."""
        while True:
            line = self._buffer.find(b"\r\n")
            if line < 0:
                return
            size = _number(self._buffer[:line].partition(b";")[0].strip(), 16)
            if size == 0:
                self._trailers(line)
                return
            end = line + 2 + size
            if len(self._buffer) < end + 2:
                return
            self.body += self._buffer[line + 2 : end]
            self._buffer = self._buffer[end + 2 :]

    def _trailers(self, line: int) -> None:
        rest = self._buffer[line:]
        end = rest.find(b"\r\n\r\n")
        if end >= 0:
            self.reusable = self.reusable and len(rest) == end + 4
            self._finish(self.body)


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.strip(), value.strip()


def _number(text: bytes, base: int) -> int:
    try:
        value = int(text, base)
    except ValueError as error:
        raise BadResponse(f"{text[:20]!r} is no length") from error
    if value < 0:
        raise BadResponse("a negative length")
    return value
