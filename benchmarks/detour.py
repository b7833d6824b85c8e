"""How well does a helper delay packets, and how much can a pod send through it?

    python benchmarks/detour.py [--megabytes 200] [--questions 200] [--delay 100] [--json]

Needs root and `ip`. Between two network namespaces with a wire, one of them set up as a pod's, it measures what one TCP
connection carries from the pod, directly and through a helper that neither delays nor drops; and by how much round
trips of single UDP packets are longer than the delay that was asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.lab.wire import ADDRESS, AGENT, Wire, wire

# In the pod: sends what is wanted to whoever connects; echoes single packets.
POD = f"""
import socket, sys, threading
def send():
    with socket.create_server(("{ADDRESS}", 4001)) as server:
        while True:
            with server.accept()[0] as connection:
                for _ in range(int(sys.argv[1])):
                    connection.sendall(bytes(1 << 20))
def echo():
    packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    packets.bind(("{ADDRESS}", 4000))
    print("ready", flush=True)
    while True:
        packets.sendto(*packets.recvfrom(2000))
threading.Thread(target=send, daemon=True).start()
echo()
"""
RECEIVE = f"""
import socket, time
with socket.create_connection(("{ADDRESS}", 4001)) as connection:
    begun, received = time.monotonic(), 0
    while part := connection.recv(1 << 20):
        received += len(part)
    print(received / (time.monotonic() - begun))
"""
ASK = f"""
import socket, sys, time
packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[1])):
    begun = time.monotonic()
    packets.sendto(b"x", ("{ADDRESS}", 4000))
    packets.recv(10)
    print(time.monotonic() - begun)
"""


def main() -> None:
    options = _options()
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.0f}",
        **measure(options),
    }
    print(json.dumps(report) if options.json else "\n".join(f"{key}: {value}" for key, value in report.items()))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with wire() as made, made.start(made.pod, POD, str(options.megabytes)) as pod:
        assert pod.stdout is not None
        pod.stdout.readline()
        (direct,) = _told(made, RECEIVE)
        with _helper(pod.pid, loss=0):
            (through,) = _told(made, RECEIVE)
        with _helper(pod.pid, delay=options.delay):
            late = [1000 * seconds - options.delay for seconds in _told(made, ASK, str(options.questions))]
        pod.kill()
    return {
        "MB/s directly": round(direct / 1e6),
        "MB/s through a helper": round(through / 1e6),
        f"ms beyond {options.delay:g}, median": round(median(late), 1),
        f"ms beyond {options.delay:g}, worst of {len(late)}": round(max(late), 1),
    }


def _told(made: Wire, code: str, *words: str) -> list[float]:
    with made.start(made.node, code, *words) as process:
        return [float(line) for line in process.communicate()[0].split()]


@contextmanager
def _helper(pid: int, **task: float) -> Iterator[None]:
    told = json.dumps({"act": "network", "container": "", "seconds": 600, **task})
    with subprocess.Popen((sys.executable, "-c", AGENT, told, str(pid)), stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        agent.stdout.readline()
        yield
        agent.kill()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--delay", type=float, default=100.0)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
