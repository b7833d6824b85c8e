"""A run of its own, which never ends: python -m tests.unit.toolbox.endless DIRECTORY HOOK.

apt, pip and Go do what HOOK says; a server takes a request for a download, and says nothing. Prints `asked` then, and
`interrupted` after SIGINT or SIGTERM.
"""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path

import pytest

from chaosctl.cli import signals
from chaosctl.config import ToolboxSettings
from chaosctl.toolbox import Toolbox, download
from chaosctl.toolbox.table import Bundle, Download, Tool
from tests.unit.toolbox.machine import built, debian, machine, wheel


def main(place: Path, hook: str) -> None:
    signals.end_like_ctrl_c()
    download.STALL_SECONDS = 600.0
    here = machine(place, pytest.MonkeyPatch())
    here.apt(hook)
    here.pip(hook)
    here.go(hook)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_listen, args=(server,), daemon=True).start()
        pins = dict.fromkeys(("amd64", "arm64"), "0" * 64)
        silent = Bundle("silent", "1.0", (Tool("silent", ()),), "", Download("https://h.test/x", {"silent": ""}, pins))
        table = [silent, debian("packaged"), wheel("wheeled"), built("built")]
        mirror = f"http://127.0.0.1:{server.getsockname()[1]}"
        try:
            Toolbox(place / "cache", ToolboxSettings(mirror=mirror), table=table).ensure(*(b.name for b in table))
        except KeyboardInterrupt:
            say("interrupted")


def _listen(server: socket.socket) -> None:
    taken = []
    while True:
        connection, _ = server.accept()
        taken.append(connection)  # or it would be closed
        if connection.recv(1):  # the first look, whether it can be reached, sends nothing
            say("asked")


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
