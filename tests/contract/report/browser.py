"""Chromium without a window, driven by its own protocol (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websocket import WebSocket, create_connection

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--remote-debugging-port=0", "--remote-allow-origins=*")  # fmt: skip
START_SECONDS = 60.0


def program() -> str | None:
    """Where the browser is, if there is one."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class Tab:
    """One page. `events` is what the browser told by itself."""

    def __init__(self, connection: WebSocket) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol; its result."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := self._receive()).get("id") != number:
            pass
        assert "error" not in message, message
        return message["result"]

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv())
        if "id" not in message:
            self.events.append(message)
        return message

    def open(self, file: Path) -> None:
        """Load a file, until it has loaded."""
        self.call("Page.navigate", url=file.as_uri())
        while not self.told("Page.loadEventFired"):
            self._receive()

    def told(self, method: str) -> list[dict[str, Any]]:
        """The events of this kind so far."""
        return [event["params"] for event in self.events if event["method"] == method]

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        codes = {"Tab": 9, "ArrowRight": 39, "Enter": 13}
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])

    def show(self, *, scheme: str = "light", width: int = 1280, height: int = 900) -> None:
        """In this colour scheme, in a window of this size."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)


@contextmanager
def browser(profile: Path) -> Iterator[Tab]:
    """A browser with an empty profile and one empty page."""
    path = program()
    assert path is not None
    process = subprocess.Popen(
        [path, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        connection = create_connection(_page(process, profile / "DevToolsActivePort"), timeout=60)
        try:
            yield Tab(connection)
        finally:
            connection.close()
    finally:
        process.terminate()
        process.wait(20)


def _page(process: subprocess.Popen[bytes], told: Path) -> str:
    """Address of the page's websocket, once the browser has written down where it listens."""
    deadline = time.monotonic() + START_SECONDS
    while not (told.is_file() and "/" in told.read_text()):  # port, and on the next line a path
        assert process.poll() is None and time.monotonic() < deadline, "the browser does not start"
        time.sleep(0.05)
    port = told.read_text().splitlines()[0]
    with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
        return next(str(page["webSocketDebuggerUrl"]) for page in json.load(answer) if page["type"] == "page")
