"""Drives the faulty server and collects what the prober tells; shared by the tests and benchmarks/ground_truth.py."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chaosctl.adapters.process import Child
from chaosctl.chaos import events as e
from chaosctl.chaos import outage
from chaosctl.chaos.outage import Outage
from chaosctl.chaos.requests import Request

CERTIFICATE, KEY = "cert.pem", "key.pem"


def certificate(directory: Path) -> tuple[str, str]:
    """Files with a certificate for 127.0.0.1 that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chaosctl test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / CERTIFICATE, directory / KEY
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(cert_file), str(key_file)


class FaultyServer:
    """The server's process; with the files of a certificate and its key it speaks HTTPS."""

    def __init__(self, *arguments: str) -> None:
        self._scheme = "https" if arguments else "http"
        self.child = Child([sys.executable, "-m", "tests.contract.chaos.faulty_server", *arguments])
        self._lines = self.child.lines()
        self.port = int(next(self._lines))

    @property
    def url(self) -> str:
        """Without a path."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def become(self, mode: str) -> float:
        """Behave like that; returns the moment, in seconds of CLOCK_MONOTONIC."""
        self.child.write(mode)
        return float(next(self._lines))

    def close(self) -> None:
        self.child.end(2)
        assert list(self._lines) == []

    def fail(self, mode: str, seconds: float) -> tuple[float, float]:
        """An outage of that length; returns its true beginning and end."""
        begin = self.become(mode)
        time.sleep(max(0.0, begin + seconds - time.monotonic()))
        return begin, self.become("ok")


@contextmanager
def faulty_server(*arguments: str) -> Iterator[FaultyServer]:
    server = FaultyServer(*arguments)
    try:
        yield server
    finally:
        server.close()


class Heard:
    """What the prober told."""

    def __init__(self) -> None:
        self.events: list[e.ChaosEvent] = []
        self._news = threading.Condition()

    def tell(self, event: e.ChaosEvent) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def wait_for(self, kind: type[e.ChaosEvent], seconds: float = 10) -> None:
        with self._news:
            found = self._news.wait_for(lambda: any(isinstance(x, kind) for x in self.events), seconds)
        assert found, f"no {kind.__name__} in {seconds} s"

    def requests(self, stream: str) -> list[Request]:
        return [r for x in self.events if isinstance(x, e.RequestsSeen) for r in x.requests if r.stream == stream]

    def outages(self, stream: str, rate: float) -> tuple[Outage, ...]:
        return outage.outages(self.requests(stream), 1 / rate)

    def one(self, kind: type[e.ChaosEvent]) -> e.ChaosEvent:
        (event,) = [x for x in self.events if isinstance(x, kind)]
        return event
