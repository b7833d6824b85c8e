"""Entry point of the autoscaler's image. Takes the real one's flags, and says which of them it ignores."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence

from botocore.config import Config
from botocore.session import Session

from chaosctl.lab.standins.autoscaler.autoscaler import Autoscaler, Pace
from chaosctl.lab.standins.autoscaler.cluster import Cluster
from chaosctl.lab.standins.autoscaler.decisions import Rules
from chaosctl.lab.standins.autoscaler.groups import Groups
from chaosctl.lab.standins.incluster.health import serve_health
from chaosctl.lab.standins.incluster.journal import log, why
from chaosctl.lab.standins.incluster.kube import Api
from chaosctl.lab.standins.incluster.lease import Lease

LEASE = "cluster-autoscaler"
ALIVE_SECONDS = 60.0  # a pass that takes longer than this hangs, and the kubelet shall restart the container
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def flags(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="cluster-autoscaler", description=__doc__, allow_abbrev=False)
    parser.add_argument("--cloud-provider", choices=["aws"], required=True)
    parser.add_argument("--namespace", default="kube-system")
    parser.add_argument("--node-group-auto-discovery", type=_tags, required=True)
    parser.add_argument("--address", type=_port, default=8085)
    parser.add_argument("--scan-interval", type=_seconds, default=10.0)
    parser.add_argument("--scale-down-unneeded-time", type=_seconds, default=600.0)
    parser.add_argument("--scale-down-delay-after-add", type=_seconds, default=600.0)
    parser.add_argument("--scale-down-utilization-threshold", type=float, default=0.5)
    parser.add_argument("--skip-nodes-with-local-storage", type=_truth, default=True)
    parser.add_argument("--skip-nodes-with-system-pods", type=_truth, default=True)
    known, unknown = parser.parse_known_args(argv)
    if unknown:
        log("flags that the stand-in ignores", flags=unknown)
    return known


def _tags(text: str) -> list[str]:
    kind, _, tags = text.partition("=")
    if kind != "asg:tag" or not tags:
        raise argparse.ArgumentTypeError(f"{text} is not asg:tag=TAG,TAG")
    return tags.split(",")


def _port(text: str) -> int:
    return int(text.rpartition(":")[2])


def _seconds(text: str) -> float:
    """As Go writes durations: 10s, 1m30s."""
    parts = DURATION.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        raise argparse.ArgumentTypeError(f"{text} is not a duration")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text} is neither true nor false")
    return text == "true"


class Loop:
    """Looks at each interval."""

    def __init__(self, options: argparse.Namespace, api: Api, identity: str) -> None:
        self._interval: float = options.scan_interval
        self._wake, self._ended = threading.Event(), threading.Event()
        self._passed_at = time.monotonic()
        self.cluster = Cluster(api, lambda: None)
        config = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 3, "mode": "standard"})
        client = Session().create_client("autoscaling", region_name=os.environ["AWS_REGION"], config=config)
        self._autoscaler = Autoscaler(
            self.cluster,
            Groups(client, options.node_group_auto_discovery),
            Rules(
                options.scale_down_utilization_threshold,
                options.skip_nodes_with_local_storage,
                options.skip_nodes_with_system_pods,
            ),
            Pace(options.scale_down_unneeded_time, options.scale_down_delay_after_add),
        )
        self._lease = Lease(api, options.namespace, LEASE, identity, self._wake.set)

    @property
    def alive(self) -> bool:
        """Whether it still turns."""
        return time.monotonic() - self._passed_at < ALIVE_SECONDS + self._interval

    def end(self) -> None:
        """Stop after the current pass."""
        self._ended.set()
        self._wake.set()

    def run(self) -> None:
        """Look until ended."""
        self.cluster.start()
        self._lease.start()
        while not self._ended.is_set():
            self._wake.clear()
            if self._lease.held and self.cluster.synced:
                self._look()
            self._passed_at = time.monotonic()
            self._wake.wait(self._interval)
        self._lease.release()

    def _look(self) -> None:
        try:
            self._autoscaler.look()
        except Exception as error:  # AWS or the API server is away, or somebody else wrote: the next look sees
            log("this look failed", level="error", code=why(error)[0], error=str(error))


def main(argv: Sequence[str]) -> int:
    """Run until SIGTERM."""
    options = flags(argv)
    loop = Loop(options, Api.in_cluster(os.environ), f"{os.uname().nodename}_{os.getpid()}")
    signal.signal(signal.SIGTERM, lambda *_: loop.end())
    signal.signal(signal.SIGINT, lambda *_: loop.end())
    log("chaosctl's stand-in for the Cluster Autoscaler", tags=options.node_group_auto_discovery)
    serve_health(options.address, {"/health-check": lambda: loop.alive})
    loop.run()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Exception as error:
        log("the autoscaler cannot run", level="error", code=why(error)[0], error=str(error))
        sys.exit(1)
