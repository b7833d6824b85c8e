"""Is every log line found again, whoever is killed on its way?

    python benchmarks/logs.py [--lines 1000000] [--containers 6] [--keep DIRECTORY] [--json]

Needs no lab and no root. Log files are written as containerd and kubelet do it: CRI lines, renamed at 5 MiB, compressed
one rotation later, five of them kept. The shipper and the lab's log service run as processes that are started again a
second after they were killed, as the lab's supervisor does. With kill -9 end the shipper after a quarter and after two
thirds of the bytes, and the service after half of them.

Each line has a number. Afterwards all are read back through FilterLogEvents: a number that is not there was lost; one
that is there twice is marked if its `event_id` is the same, else not. Memory is PSS (smaps_rollup), looked at each half
second.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

CLUSTER, REGION, HOST = "bench", "us-west-2", "ip-10-0-1-2.us-west-2.compute.internal"
GROUP = f"/aws/containerinsights/{CLUSTER}/application"
ROTATE, KEPT = 5 << 20, 5  # bytes of a file and number of files, as kubelet has them
KILLS = ((0.25, "shipper"), (0.5, "service"), (0.66, "shipper"))  # after which part of the bytes, who
BURST = 500  # lines that are written at once


def main() -> None:
    options = _options()
    if options.serve:
        serve(Path(options.serve), options.port)
    if options.ship:
        ship(Path(options.ship), options.port)
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        "load at the beginning": round(os.getloadavg()[0], 1),
        **measure(options),
    }
    print(json.dumps(report) if options.json else "\n".join(f"{key}: {value}" for key, value in report.items()))
    sys.exit(1 if report["lost"] or report["repeated, not marked"] else 0)


# --- the two processes


def serve(root: Path, port: int) -> None:
    """The lab's AWS with its saved state, until it is killed."""
    from chaosctl.lab.aws import corrections, operator_account, server, state
    from chaosctl.lab.aws.world import Changes
    from chaosctl.lab.layout import Layout

    corrections.apply()
    layout, changes = Layout(root), Changes()
    state.load(layout.aws / "state")
    operator_account.ensure(layout.aws / "operator.json")
    saver = state.Saver(layout.aws / "state")
    changes.listen(saver.changed)
    saver.start()
    server.serve("127.0.0.1", port, server.Front(layout, changes)).serve_forever()


def ship(root: Path, port: int) -> None:
    """The shipper for one node, with the operator's key, until it is killed."""
    import httpx
    from botocore.credentials import Credentials

    from chaosctl.lab.shipper.cloudwatch import CloudWatchLogs
    from chaosctl.lab.shipper.shipper import Shipper

    class Operator:
        def current(self) -> Credentials:
            return Credentials(*operator(root))

        def forget(self) -> None:
            """There are no others."""

    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as http:
        service = CloudWatchLogs(http, REGION, Operator())  # type: ignore[arg-type]
        known = {"pod_ip": "10.0.1.9", "container_image": "backend:latest", "container_hash": f"sha256:{'0' * 64}"}
        Shipper(CLUSTER, lambda: {node(root): HOST}, service, lambda _: known).run(threading.Event())


def node(root: Path) -> Path:
    return root / "i-0"


class Kept:
    """A process that is started again whenever it ends."""

    def __init__(self, *argv: str, log: Path) -> None:
        self._argv, self._log = argv, log
        self._stopping = threading.Event()
        self.most_memory = 0  # bytes
        self._seconds: dict[int, float] = {}  # of CPU, by process
        self._process = self._started()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    @property
    def cpu_seconds(self) -> float:
        """Of all processes that there were, as of half a second before their end."""
        return sum(self._seconds.values())

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)

    def stop(self) -> None:
        self._stopping.set()
        self.kill()
        self._thread.join()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen([sys.executable, __file__, *self._argv], stdout=log, stderr=log)

    def _keep(self) -> None:
        from chaosctl.lab import memory  # here, since the processes that are measured begin with this file too

        while not self._stopping.wait(0.5):
            self.most_memory = max(self.most_memory, memory.of_process(self._process.pid))
            self._seconds[self._process.pid] = max(_cpu(self._process.pid), self._seconds.get(self._process.pid, 0))
            if self._process.poll() is not None and not self._stopping.wait(1.0):
                self._process = self._started()
        self._process.wait()


def _cpu(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


# --- the containers


@dataclass
class Container:
    """Writes log files as containerd and kubelet do."""

    home: Path
    number: int
    size: int = 0
    rotations: int = 0

    def __post_init__(self) -> None:
        identifier, pod = f"{self.number:064x}", f"web-{self.number}"
        self.file = self.home / "pods" / f"shop_{pod}_0b8e2a1c-9d3f-4c55-8a51-{self.number:012x}" / "web" / "0.log"
        self.file.parent.mkdir(parents=True)
        links = self.home / "containers"
        links.mkdir(exist_ok=True)
        target = Path("/var/log/pods") / self.file.relative_to(self.home / "pods")
        (links / f"{pod}_shop_web-{identifier}.log").symlink_to(target)

    def write(self, numbers: range) -> int:
        """Lines with these numbers; how many bytes that is."""
        data = "".join(map(_line, numbers)).encode()
        with self.file.open("ab") as out:
            out.write(data)
        self.size += len(data)
        if self.size > ROTATE:
            self._rotate()
        return len(data)

    def _rotate(self) -> None:
        rotated = sorted(self.file.parent.glob("0.log.*"))
        for path in rotated[: max(0, len(rotated) - KEPT + 2)]:
            path.unlink()
        for path in self.file.parent.glob("0.log.*[0-9]"):
            path.with_name(f"{path.name}.tmp").write_bytes(gzip.compress(path.read_bytes(), 1))
            path.with_name(f"{path.name}.tmp").rename(path.with_name(f"{path.name}.gz"))
            path.unlink()
        self.rotations += 1
        self.file.rename(self.file.with_name(f"0.log.20260101-{self.rotations:06d}"))
        self.size = 0


def _line(number: int) -> str:
    now = time.time_ns()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9))
    said = f'{{"time": "{stamp}.000Z", "message": "GET /probe/data", "status": 200, "number": {number}}}'
    return f"{stamp}.{now % 10**9:09d}Z stdout F {said}\n"


# --- the measurement


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with _directory(options.keep) as root:
        port = _free_port()
        service = Kept("--serve", str(root), "--port", str(port), log=root / "service.log")
        _until(lambda: _answers(port), "the service answers")
        aws = _aws(root, port)
        aws.call("logs", "create_log_group", logGroupName=GROUP)
        time.sleep(2.5)  # until the group is in the saved state, as it long is when containers log
        shipper = Kept("--ship", str(root), "--port", str(port), log=root / "shipper.log")
        started = time.monotonic()
        kills = list(KILLS)
        total = options.lines * 150  # bytes, about; what is counted is exact
        written = 0

        def kill_if_due(sent: int) -> None:
            if kills and sent > kills[0][0] * total:
                _, who = kills.pop(0)
                (shipper if who == "shipper" else service).kill()

        containers = [Container(node(root), number) for number in range(options.containers)]
        for turn, first in enumerate(range(0, options.lines, BURST)):
            numbers = range(first, min(first + BURST, options.lines))
            written += containers[turn % len(containers)].write(numbers)
            kill_if_due(_sent(root))
        total, wrote = written, time.monotonic() - started
        _until(lambda: kill_if_due(_sent(root)) or _sent(root) == written, "everything is sent")
        shipped = time.monotonic() - started
        begun = time.monotonic()
        counted = count(aws, options.lines)
        read_back = time.monotonic() - begun
        shipper.stop()
        service.stop()
        return {
            "lines sent": options.lines,
            **counted,
            "killed": ", ".join(who for _, who in KILLS[: len(KILLS) - len(kills)]),
            "seconds to write": round(wrote, 1),
            "seconds to ship": round(shipped, 1),
            "seconds to read back": round(read_back, 1),
            "MB of log files": round(written / 1e6, 1),
            "MB of the event store": round(sum(f.stat().st_size for f in (root / "aws").glob("logs.db*")) / 1e6, 1),
            "MB of the saved state": round((root / "aws" / "state").stat().st_size / 1e6, 1),
            "seconds of CPU, shipper": round(shipper.cpu_seconds, 1),
            "seconds of CPU, service": round(service.cpu_seconds, 1),
            "MB of memory, shipper": round(shipper.most_memory / 1e6, 1),
            "MB of memory, service": round(service.most_memory / 1e6, 1),
        }


def count(aws: Any, lines: int) -> dict[str, int]:
    """What is found of the numbers 0 to `lines`."""
    found: dict[int, set[int]] = {}
    times: Counter[int] = Counter()
    for event in aws.pages("logs", "filter_log_events", "events", logGroupName=GROUP):
        record = json.loads(event["message"])
        number = int(record["log_processed"]["number"])
        found.setdefault(number, set()).add(hash(record["event_id"]))
        times[number] += 1
    return {
        "lines found": len(found),
        "lost": lines - len(found.keys() & set(range(lines))),
        "repeated, marked": sum(times.values()) - sum(map(len, found.values())),
        "repeated, not marked": sum(len(ids) - 1 for ids in found.values()),
    }


def _sent(root: Path) -> int:
    """Bytes of all files that the shipper has noted as sent."""
    with suppress(OSError, ValueError):
        known = json.loads((node(root) / "log-shipper" / "cursors.json").read_text())
        return sum(sum(one["offsets"].values()) for one in known)
    return 0


def _aws(root: Path, port: int) -> Any:
    from chaosctl.adapters.aws import Aws

    key, secret = operator(root)
    env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    return Aws(env, REGION)


def operator(root: Path) -> tuple[str, str]:
    """The key of the operator, and its secret; the service has written them before it answers."""
    key = json.loads((root / "aws" / "operator.json").read_text())
    return key["AccessKeyId"], key["SecretAccessKey"]


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _until(done: Callable[[], object], what: str, timeout: float = 1800) -> None:
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"not after {timeout:.0f} s: {what}")
        time.sleep(0.1)


@contextmanager
def _directory(keep: str | None) -> Iterator[Path]:
    root = Path(keep) if keep else Path(tempfile.mkdtemp(prefix="chaosctl-logs-"))
    node(root).mkdir(parents=True)
    try:
        yield root
    finally:
        if not keep:
            shutil.rmtree(root, ignore_errors=True)


def _options(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--containers", type=int, default=6)
    parser.add_argument("--keep", metavar="DIRECTORY", help="leave files and logs there")
    parser.add_argument("--json", action="store_true")
    for hidden in ("--serve", "--ship"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
