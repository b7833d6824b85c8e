"""Commands in containers, against a websocket server that behaves as told."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes.client import Configuration

from chaosctl.adapters.execution import Execution, execute
from chaosctl.errors import StageFailed, Unreachable

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
SUCCESS = b'\x03{"status": "Success"}'
CLOSE = b"\x88\x02" + struct.pack(">H", 1000)


def frame(data: bytes) -> bytes:
    return b"\x82" + bytes([len(data)]) + data


class Access:
    """As much of a Kube as a websocket needs."""

    def __init__(self, port: int) -> None:
        self._port = port

    def websocket_access(self) -> tuple[Any, dict[str, str]]:
        return Configuration(host=f"http://127.0.0.1:{self._port}"), {}


@contextmanager
def server(talk: Callable[[socket.socket], None], *, accepts: bool = True) -> Iterator[Any]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_serve, args=(listening, talk, accepts), daemon=True)
        thread.start()
        yield Access(listening.getsockname()[1])
        thread.join()


def _serve(listening: socket.socket, talk: Callable[[socket.socket], None], accepts: bool) -> None:
    connection, _ = listening.accept()
    with connection:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += connection.recv(4096)
        if not accepts:
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        key = next(
            line.split(b": ")[1] for line in asked.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
        )
        answer = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: v4.channel.k8s.io\r\nSec-WebSocket-Accept: " + answer + b"\r\n\r\n"
        )
        talk(connection)


def run(access: Any) -> Execution:
    return execute(access, "shop", "web-1", "backend", ["crash"], 5.0)


def test_a_command_that_ends_tells_its_status_and_what_it_said() -> None:
    with server(lambda c: c.sendall(frame(b"\x01hello") + frame(SUCCESS) + CLOSE)) as access:
        assert run(access) == Execution(0, "hello", "")


def test_one_that_takes_its_connection_along_has_no_status() -> None:
    with server(lambda c: c.sendall(frame(b"\x01dying"))) as access:
        assert run(access) == Execution(None, "dying", "")


def test_a_connection_that_is_reset_is_one_that_was_taken_along() -> None:
    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with server(reset) as access:
        assert run(access).status is None


def test_a_connection_that_breaks_in_another_way_is_an_error_of_ours() -> None:
    with server(lambda c: c.sendall(b"\xf2\x01x")) as access, pytest.raises(Unreachable, match="KUBE-UNREACHABLE"):
        run(access)


def test_a_command_that_cannot_be_started_is_an_error_of_ours() -> None:
    with server(lambda c: None, accepts=False) as access, pytest.raises(StageFailed, match="KUBE-EXEC"):
        run(access)
