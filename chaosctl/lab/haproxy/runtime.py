"""The runtime socket of a HAProxy: what it serves, and orders for its servers."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaosctl.errors import Unreachable

RUNTIME_TIMEOUT = 2.0  # seconds


@dataclass(frozen=True)
class Server:
    """A line of `show stat`. `healthy` is None for servers without a check; `check` is L7OK, L4CON, L7STS/503, ..."""

    backend: str
    name: str
    status: str
    check: str
    code: str
    healthy: bool | None
    passed: bool  # at least one check was good since it was forced down


@dataclass(frozen=True)
class Admin:
    """A line of `show servers state`: where a slot points to, and what was ordered for it."""

    backend: str
    name: str
    address: str
    state: str  # ready, drain or maint


class Runtime:
    """The runtime socket of one HAProxy. Raises Unreachable (LB-SOCKET) when nobody answers there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, *commands: str) -> str:
        """Answers to `commands`, one after the other."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(RUNTIME_TIMEOUT)
                connection.connect(str(self._path))
                connection.sendall((";".join(commands) + "\n").encode())
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode(errors="replace")
        except OSError as error:
            raise Unreachable(
                "a load balancer of the lab does not answer",
                code="LB-SOCKET",
                why=f"{self._path}: {error}",
                remedy="run `chaosctl lab status`; its supervisor starts it again",
            ) from error

    def do(self, commands: Sequence[str]) -> None:
        """Run commands, a few at a time: a line has a limited length."""
        for start in range(0, len(commands), 20):
            self.ask(*commands[start : start + 20])

    def identity(self) -> str:
        """The digest of the configuration that runs."""
        lines = [line.partition(": ") for line in self.ask("show info").splitlines()]
        return next((value.strip() for key, _, value in lines if key.lower() == "description"), "")

    def servers(self) -> list[Server]:
        """Every server with its health."""
        header, *lines = self.ask("show stat -1 4 -1").strip().splitlines()
        names = {name: index for index, name in enumerate(header.lstrip("# ").split(","))}
        return [_server(line.split(","), names) for line in lines if line]

    def admins(self) -> tuple[list[Admin], str]:
        """What was ordered for each server, and the text that a new process can start from."""
        text = self.ask("show servers state")
        rows = [line.split() for line in text.splitlines()[2:] if line.strip()]
        return [Admin(row[1], row[3], f"{row[4]}:{row[18]}", _ordered(int(row[6]))) for row in rows], text


def _server(row: Sequence[str], names: Mapping[str, int]) -> Server:
    def field(name: str) -> str:
        return row[names[name]]

    health, rise = field("check_health"), field("check_rise")
    return Server(
        backend=field("pxname"),
        name=field("svname"),
        status=field("status"),
        check=field("check_status").lstrip("* "),
        code=field("check_code"),
        healthy=int(health) >= int(rise) if health and rise else None,
        passed=bool(health) and int(health) > 0,
    )


def _ordered(admin_state: int) -> str:
    if admin_state & 0x01:
        return "maint"
    return "drain" if admin_state & 0x08 else "ready"
