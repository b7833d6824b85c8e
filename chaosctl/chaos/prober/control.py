"""What the control stream asks: a server in the prober itself that always answers.

When it does not, the trouble is on this machine, and the measurement says nothing about the service.
"""

from __future__ import annotations

import contextlib
import selectors
import socket

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: close\r\n\r\n{"control":true}'
KEYS = ("control",)


class ControlServer:
    """Listens on a loopback port of its own."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self.port: int = self._listening.getsockname()[1]
        selector.register(self._listening, selectors.EVENT_READ, self)

    def ready(self) -> None:
        """Somebody connects."""
        with contextlib.suppress(OSError):
            sock, _ = self._listening.accept()
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, _Client(self._selector, sock))

    def close(self) -> None:
        """Stop listening."""
        self._selector.unregister(self._listening)
        self._listening.close()


class _Client:
    def __init__(self, selector: selectors.BaseSelector, sock: socket.socket) -> None:
        self._selector, self._sock = selector, sock

    def ready(self) -> None:
        """The request is here, whole because it is ours and small."""
        self._selector.unregister(self._sock)
        with contextlib.suppress(OSError), self._sock:
            self._sock.recv(4096)
            self._sock.send(ANSWER)
