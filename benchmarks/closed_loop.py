"""What many tools do: ask, wait for the answer, sleep, ask again. Nothing is corrected."""

from __future__ import annotations

import json
import ssl
import threading
import time
import urllib.error
import urllib.request

from chaosctl.chaos.requests import NEW, Request


class ClosedLoop:
    """Asks every `interval` seconds after the last answer, on a thread; the time of a probe is when it was sent."""

    def __init__(self, url: str, interval: float, timeout: float, ca_file: str = "") -> None:
        self._tls = ssl.create_default_context(cafile=ca_file) if ca_file else None
        self._url, self._interval, self._timeout = url, interval, timeout
        self._found: list[Request] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            begun = time.monotonic()
            outcome = "ok" if self._ask() else "bad"
            latency = time.monotonic() - begun
            self._found.append(Request(NEW, len(self._found), round(begun * 1e6), round(latency * 1e6), 0, outcome, 0))
            self._stopped.wait(self._interval)

    def _ask(self) -> bool:
        try:
            with urllib.request.urlopen(self._url, timeout=self._timeout, context=self._tls) as answer:
                return "users" in json.loads(answer.read())
        except (OSError, ValueError, urllib.error.URLError):
            return False

    def requests(self) -> list[Request]:
        """End it; everything that it saw."""
        self._stopped.set()
        self._thread.join()
        return self._found
