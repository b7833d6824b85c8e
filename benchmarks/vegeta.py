"""vegeta, built from its Go module into chaosctl's cache, as a second opinion about the same outages.

https://github.com/tsenart/vegeta: an open loop like the prober; its results are CSV: timestamp in ns (CLOCK_REALTIME),
status, latency in ns, ..., sequence number as the eighth column.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import subprocess
from pathlib import Path

from chaosctl import places
from chaosctl.chaos.requests import NEW, Request

MODULE = "github.com/tsenart/vegeta/v12@v12.13.0"


def program() -> Path:
    """Where vegeta is; builds it the first time, which takes a minute. Raises CalledProcessError without Go."""
    directory = places.cache_dir() / "benchmarks"
    built = directory / "vegeta"
    if not built.is_file():
        environment = {**os.environ, "GOBIN": str(directory), "CGO_ENABLED": "0"}
        subprocess.run(["go", "install", MODULE], env=environment, check=True)
    return built


class Vegeta:
    """An attack that is under way, at `rate` a second on new connections."""

    def __init__(
        self, url: str, rate: float, timeout: float, seconds: float, directory: Path, ca_file: str = ""
    ) -> None:
        self._results, self._begun = directory / "vegeta.bin", False
        words = ["attack", f"-rate={rate:g}", f"-duration={seconds:g}s", f"-timeout={timeout:g}s", "-keepalive=false",
                 "-max-connections=0", f"-output={self._results}"]  # fmt: skip
        words += [f"-root-certs={ca_file}"] if ca_file else []
        self._process = subprocess.Popen([program(), *words], stdin=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        self._process.stdin.write(f"GET {url}\n")
        self._process.stdin.close()

    def requests(self, wanted_keys: tuple[str, ...], offset: float) -> list[Request]:
        """Wait for its end. `offset` is CLOCK_REALTIME - CLOCK_MONOTONIC in seconds, to compare times with."""
        self._process.wait()
        told = subprocess.run(
            [program(), "encode", "-to=csv", str(self._results)], check=True, capture_output=True, text=True
        ).stdout
        rows = sorted(csv.reader(told.splitlines()), key=lambda row: int(row[0]))
        return [_request(number, row, wanted_keys, offset) for number, row in enumerate(rows)]


def _request(number: int, row: list[str], wanted_keys: tuple[str, ...], offset: float) -> Request:
    """vegeta does not look at bodies: that is done here, in its favour."""
    status = int(row[1])
    outcome = "ok" if 200 <= status < 300 and _right(row[6], wanted_keys) else "bad"
    return Request(NEW, number, round(int(row[0]) / 1000 - offset * 1e6), int(row[2]) // 1000, 0, outcome, status)


def _right(body: str, wanted_keys: tuple[str, ...]) -> bool:
    try:
        return set(wanted_keys) <= set(json.loads(base64.b64decode(body)))
    except ValueError:
        return False
