"""The addresses behind a name, kept fresh."""

from __future__ import annotations

import socket
import threading
import time
from ipaddress import ip_address

EVERY = 0.5  # seconds between two look-ups; the promise is one a second at least

Address = tuple[int, tuple[str, int]]  # family, and what connect() takes


class Fixed:
    """One address that needs no looking up."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
        self.addresses: list[Address] = [(family, (host, port))]

    def pick(self) -> Address | None:
        """The address."""
        return self.addresses[0]


class Resolver:
    """Looks a name up again and again, in a thread because getaddrinfo blocks."""

    def __init__(self, host: str, port: int, patience: float) -> None:
        self.addresses: list[Address] = []
        self._host, self._port, self._patience = host, port, patience
        self._asked = time.monotonic()
        self._answered = threading.Event()
        self._turn = 0
        threading.Thread(target=self._forever, daemon=True, name="dns").start()
        self._answered.wait(patience)

    def pick(self) -> Address | None:
        """The next address in turn; None when the name has none, or when the answer is overdue."""
        overdue = time.monotonic() - self._asked > self._patience + 2 * EVERY
        if overdue or not self.addresses:
            return None
        self._turn += 1
        return self.addresses[self._turn % len(self.addresses)]

    def _forever(self) -> None:
        while True:
            asked = time.monotonic()
            self.addresses = self._look_up()
            self._asked = asked
            self._answered.set()
            time.sleep(EVERY)

    def _look_up(self) -> list[Address]:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        except OSError:
            return []
        return list(dict.fromkeys((int(family), (str(where[0]), self._port)) for family, _, _, _, where in found))


def resolver(host: str, port: int, patience: float) -> Fixed | Resolver:
    """For a name or a literal address; the first look-up may take `patience` seconds."""
    try:
        return Fixed(host, port)
    except ValueError:
        return Resolver(host, port, patience)
