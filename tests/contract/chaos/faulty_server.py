"""A web server that fails on command, in a process of its own.

    python -m tests.contract.chaos.faulty_server [CERT KEY]

It prints its port. Each line on stdin is a way to behave; it answers with CLOCK_MONOTONIC, in seconds, when it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import sys
import time

from chaosctl.chaos.prober.priority import come_first

MODES = ("refused", "reset", "hung", "5xx", "wrong-body")
BODY = b'{"users": [{"id": 1, "name": "Ada"}]}'


class Server:
    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.mode = "ok"
        self.tls = tls
        self.connections: set[Connection] = set()
        self.listening: asyncio.Server | None = None
        self.port = 0

    async def listen(self) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        self.port = sock.getsockname()[1]
        loop = asyncio.get_running_loop()
        self.listening = await loop.create_server(lambda: Connection(self), sock=sock, ssl=self.tls, backlog=1024)

    async def become(self, mode: str) -> float:
        """Behave like `mode` from the returned moment on; connections that hang are never answered."""
        if mode == "refused":
            assert self.listening is not None
            self.listening.close()
            self.listening = None
        if mode in ("refused", "reset"):
            for connection in list(self.connections):
                connection.abort()
        self.mode = mode
        if mode != "refused" and self.listening is None:
            await self.listen()
        return time.monotonic()


class Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self.server = server
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)

    def abort(self) -> None:
        """Reset it."""
        assert self.transport is not None
        sock = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):  # over TLS there is none any more once the client has gone
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        match self.server.mode:
            case "reset":
                self.abort()
                return
            case "hung":
                return
            case "5xx":
                status, body = b"503 Service Unavailable", b"down"
            case "wrong-body":
                status, body = b"200 OK", b'{"error": "what users?"}'
            case _:
                status, body = b"200 OK", BODY
        close = b"Connection: close" in data
        head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n"
        self.transport.write(head % (status, len(body), b"Connection: close\r\n" if close else b"") + body)
        if close:
            self.transport.close()


def say(value: float) -> None:
    sys.stdout.write(f"{value}\n")
    sys.stdout.flush()


async def main() -> None:
    come_first()  # or the truth about its outages would be as late as it is scheduled
    tls = None
    if len(sys.argv) > 1:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[1], sys.argv[2])
    server = Server(tls)
    await server.listen()
    say(server.port)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        say(await server.become(line.decode().strip()))


if __name__ == "__main__":
    asyncio.run(main())
