"""Which hosts answer at all: asked once, all at the same time, so that a machine without internet fails at once."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from collections.abc import Iterable
from urllib.parse import urlsplit

PROBE_SECONDS = 3.0  # for all hosts together

Address = tuple[str, int]


def address(url: str) -> Address:
    """The host and port that a request for `url` would connect to: a proxy's, when one is set for it."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


class Reach:
    """Remembers, for one run, which hosts can be connected to."""

    def __init__(self, seconds: float = PROBE_SECONDS) -> None:
        self._seconds = seconds
        self._answers: dict[Address, bool] = {}

    def probe(self, urls: Iterable[str]) -> None:
        """Try to connect to the hosts of `urls` that were not tried before; takes at most `seconds` in all."""
        new = {address(url) for url in urls} - self._answers.keys()
        answers: dict[Address, bool] = {}
        threads = [threading.Thread(target=_try, args=(a, self._seconds, answers), daemon=True) for a in new]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + self._seconds
        for thread in threads:  # a resolver that hangs is left behind: it knows no time-out
            thread.join(max(0.0, deadline - time.monotonic()))
        self._answers |= {a: answers.get(a, False) for a in new}

    def reachable(self, url: str) -> bool:
        """Whether the host of `url` answered."""
        self.probe([url])
        return self._answers[address(url)]

    def lost(self, url: str) -> None:
        """A request could not even connect: spare the others the wait."""
        self._answers[address(url)] = False


def _try(target: Address, seconds: float, answers: dict[Address, bool]) -> None:
    try:
        socket.create_connection(target, timeout=seconds).close()
        answers[target] = True
    except (OSError, UnicodeError):
        answers[target] = False
