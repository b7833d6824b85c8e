"""What do the lab's metrics and alarms cost?

    python benchmarks/metrics.py [--seconds 130] [--rate 200] [--json]

Needs root and a lab with the app in it (`chaosctl up`), and nothing else to do on the machine. For so many seconds
without and then with traffic at the app it reads from /proc what each thread of the lab's AWS has used: those that
count the requests of the load balancers, publish metrics and evaluate alarms, next to the whole process and to all
processes of the lab. Figures are per cent of one core.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaosctl.lab import layout, processes

# As `top -H` shows them: 15 bytes.
METRICS = ("access log", "metrics of load", "metrics of cert", "Container Insig", "alarms")
STREAMS = 4
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    options = _options()
    found = processes.with_marker(layout.default().marker)
    aws = [pid for pid in found if b"chaosctl.lab.aws\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    if not aws:
        sys.exit("no lab runs here: `chaosctl up` starts one")
    quiet = measure(aws[0], options.seconds)
    traffic = Traffic(app_url(), options.rate)
    traffic.start()
    busy = measure(aws[0], options.seconds)
    asked = traffic.end()
    report = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": os.getloadavg()[0],
        "seconds": options.seconds,
        "without traffic": quiet,
        f"with {asked / options.seconds:.0f} requests a second": busy,
    }
    print(json.dumps(report) if options.json else "\n".join(f"{key}: {value}" for key, value in report.items()))


def app_url() -> str:
    return subprocess.run(["chaosctl", "url"], check=True, capture_output=True, text=True).stdout.strip()


def measure(aws: int, seconds: float) -> dict[str, Any]:
    """Per cent of a core that each part has used in so many seconds."""
    threads_before, lab_before = threads(aws), lab()
    time.sleep(seconds)
    by_thread = {name: ticks - threads_before[name] for name, ticks in threads(aws).items()}
    by_process = {pid: ticks - lab_before.get(pid, 0) for pid, ticks in lab().items()}
    whole, metrics = sum(by_process.values()), sum(by_thread.values())

    def percent(ticks: float) -> float:
        return round(100 * ticks / TICKS / seconds, 2)

    return {
        **{name: percent(ticks) for name, ticks in by_thread.items()},
        "metrics and alarms": percent(metrics),
        "the lab's AWS": percent(by_process[aws]),
        "all of the lab": percent(whole),
        "metrics and alarms of the rest": round(metrics / (whole - metrics), 4),
    }


def threads(pid: int) -> Counter[str]:
    """Ticks that each of the threads which make metrics and alarms has used."""
    found: Counter[str] = Counter()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # one that answered a request has ended
            name = (task / "comm").read_text().strip()
            if name in METRICS:
                found[name] += _ticks(task)
    return found


def lab() -> dict[int, int]:
    """Ticks of every process of the lab."""
    found = {}
    for pid in processes.with_marker(layout.default().marker):
        with suppress(OSError):  # it has ended
            found[pid] = _ticks(Path(f"/proc/{pid}"))
    return found


def _ticks(directory: Path) -> int:
    """User and system time."""
    fields = (directory / "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


class Traffic:
    """Requests at a rate, over a few connections that are kept."""

    def __init__(self, url: str, rate: float) -> None:
        self._host, self._pause = urlsplit(url).hostname or "", STREAMS / rate
        self._stop = threading.Event()
        self._asked = [0] * STREAMS
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(STREAMS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> int:
        """How many were answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return sum(self._asked)

    def _ask(self, number: int) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=10)
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            connection.request("GET", "/probe/data")
            connection.getresponse().read()
            self._asked[number] += 1
            due += self._pause
        connection.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=130, help="two minutes of metrics, and some")
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
