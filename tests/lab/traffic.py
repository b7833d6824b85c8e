"""Users: requests on a fixed schedule, each on a connection of its own, independent of chaosctl's prober."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from urllib.parse import urlsplit


class Traffic:
    """Asks for a page 20 times a second while the context lasts; `answers` counts HTTP statuses and errors by name."""

    def __init__(self, url: str, path: str = "/probe/data") -> None:
        self.answers: Counter[str] = Counter()
        self._host, self._path = urlsplit(url).netloc, path
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(8)
        self._thread = threading.Thread(target=self._send)

    def _send(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._pool.submit(self._ask)
            due += 0.05

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=5)
        try:
            connection.request("GET", self._path)
            self.answers[str(connection.getresponse().status)] += 1
        except (OSError, http.client.HTTPException) as error:
            self.answers[type(error).__name__] += 1
        finally:
            connection.close()

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._pool.shutdown()
