"""A pod's packets on a detour, on which they are late or lost."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl.chaos.agent.act import Act, Cannot
from chaosctl.chaos.agent.container import Container

CLONE_NEWNET = 0x40000000  # see setns(2)

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Route:
    """One of the main table. `destination` in network byte order."""

    device: str
    destination: bytes
    bits: int
    metric: int

    @classmethod
    def of(cls, line: str) -> Route:
        """From a line of /proc/net/route."""
        device, destination, _, _, _, _, metric, mask, *_ = line.split()
        return cls(device, struct.pack("=I", int(destination, 16)), f"{int(mask, 16):b}".count("1"), int(metric))

    def diverted(self, device: int, source: bytes) -> bytes:
        """The netlink message for the same route, before it, through another device. See rtnetlink(7)."""
        words = {1: self.destination, 4: struct.pack("=I", device), 6: struct.pack("=I", self.metric), 7: source}
        attributes = b"".join(struct.pack("=HH", 4 + len(word), kind) + word for kind, word in words.items())
        request, acknowledge, create = 0x1, 0x4, 0x400
        main_table, static, link, unicast = 254, 4, 253, 1
        route = struct.pack("=8BI", socket.AF_INET, self.bits, 0, 0, main_table, static, link, unicast, 0)
        size, new_route = 16 + len(route) + len(attributes), 24
        return struct.pack("=IHHII", size, new_route, request | acknowledge | create, 1, 0) + route + attributes


class Network(Act):
    """What the pod sends takes a way through here, where `loss` percent of it is lost and the rest waits.

    A device of its own takes the pod's packets: the same routes as the pod has, put before them. What has waited leaves
    through the pod's own device, to which the sending socket is bound. No module but `tun` is needed of the kernel.

    delay, jitter  milliseconds; each packet waits for the first, more or less by up to the second
    """

    NAME = "chaosctl0"

    def __init__(self, task: Mapping[str, Any], container: Container, resources: ExitStack) -> None:
        self._delay, self._jitter = float(task.get("delay", 0)) / 1000, float(task.get("jitter", 0)) / 1000
        self._loss = float(task.get("loss", 0)) / 100
        self._waiting: list[tuple[float, int, float, bytes]] = []  # due, number, came, packet
        self._seen = self._lost = self._passed = 0
        self._waited = 0.0
        enter_network_of(container.main)
        self._tun = open_tun(self.NAME)
        resources.callback(os.close, self._tun)
        routes = [Route.of(line) for line in Path("/proc/thread-self/net/route").read_text().splitlines()[1:]]
        own = next((route.device for route in routes if not route.bits), "")
        if not own:
            raise Cannot("its pod has no IPv4 route to the outside")
        self._out = resources.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
        self._out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, own.encode())
        self._out.setblocking(False)
        divert([route for route in routes if route.device == own], own, self.NAME)

    def work(self, until: float) -> None:
        while (now := time.monotonic()) < until:
            wake = min(until, self._waiting[0][0]) if self._waiting else until
            select.select([self._tun], [], [], max(0.0, wake - now))
            self._take()
            self._release()

    def _take(self) -> None:
        """Read what has come, but not without end: others are due meanwhile."""
        for _ in range(64):
            try:
                packet = os.read(self._tun, 65536)
            except BlockingIOError:
                return
            if packet[0] >> 4 != 4:  # the kernel's own IPv6 multicasts on a new device
                continue
            self._seen += 1
            if random.random() < self._loss:  # noqa: S311 - not a secret
                self._lost += 1
                continue
            came = time.monotonic()
            due = came + self._delay + self._jitter * random.uniform(-1, 1)  # noqa: S311 - not a secret
            heapq.heappush(self._waiting, (due, self._seen, came, packet))

    def _release(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, _, came, packet = heapq.heappop(self._waiting)
            try:
                self._out.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
            except OSError:  # no room, or no way there: lost, as on any other wire
                self._lost += 1
                continue
            self._passed += 1
            self._waited += time.monotonic() - came

    def proof(self) -> str:
        said = [f"{self._lost} of {self._seen} packets lost"] if self._lost else []
        if self._passed and self._delay:
            said.append(f"{self._passed} packets delayed by {1000 * self._waited / self._passed:.0f} ms on average")
        return ", ".join(said)


def enter_network_of(pid: int) -> None:
    """Go over into the network namespace of a process. Raises Cannot when that is the node's own."""
    theirs = Path(f"/proc/{pid}/ns/net")
    if theirs.stat().st_ino == Path("/proc/self/ns/net").stat().st_ino:
        raise Cannot("its pod has the network of its node: all of the node would be hit")
    with theirs.open("rb") as namespace:
        if _libc.setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


def open_tun(name: str) -> int:
    """A new network device, as long as it is open: what is sent there is read here. Raises Cannot."""
    set_name, no_header, point_to_point = 0x400454CA, 0x1000, 0x1
    try:
        opened = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(opened, set_name, struct.pack("16sH22x", name.encode(), point_to_point | no_header))
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise Cannot("another network fault acts on its pod") from error
        raise Cannot(f"the kernel of its node has no tun device: {error}") from error
    return opened


def divert(routes: list[Route], own: str, instead: str) -> None:
    """Lead what goes out through the device `own` to the device `instead`."""
    get_address, get_mtu, set_flags, set_mtu, up = 0x8915, 0x8921, 0x8914, 0x8922, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        source = fcntl.ioctl(asking, get_address, struct.pack("16s24x", own.encode()))[20:24]
        mtu = fcntl.ioctl(asking, get_mtu, struct.pack("16s24x", own.encode()))[16:20]
        fcntl.ioctl(asking, set_mtu, struct.pack("16s4s20x", instead.encode(), mtu))
        fcntl.ioctl(asking, set_flags, struct.pack("16sH22x", instead.encode(), up))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        for route in routes:
            netlink.send(route.diverted(socket.if_nametoindex(instead), source))
            (failure,) = struct.unpack_from("=i", netlink.recv(65536), 16)
            if failure:
                raise OSError(-failure, f"a route could not be put in: {os.strerror(-failure)}")
