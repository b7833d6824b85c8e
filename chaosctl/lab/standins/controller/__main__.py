"""Entry point of the controller's image. Takes the real controller's flags, and says which of them it ignores."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.session import Session

from chaosctl.lab.standins.controller import web
from chaosctl.lab.standins.controller.bindings import Bindings
from chaosctl.lab.standins.controller.cluster import Cluster
from chaosctl.lab.standins.controller.deploy import Deployer
from chaosctl.lab.standins.controller.ingresses import Ingresses
from chaosctl.lab.standins.incluster.health import serve_health
from chaosctl.lab.standins.incluster.journal import log, why
from chaosctl.lab.standins.incluster.kube import ACCOUNT, Api
from chaosctl.lab.standins.incluster.lease import Lease

LEASE = "aws-load-balancer-controller-leader"
ALIVE_SECONDS = 60.0  # a pass that takes longer than this hangs, and the kubelet shall restart the container


def flags(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="controller", description=__doc__, allow_abbrev=False)
    parser.add_argument("--cluster-name", required=True)
    parser.add_argument("--aws-region", required=True)
    parser.add_argument("--aws-vpc-id", required=True)
    parser.add_argument("--ingress-class", default="alb")
    parser.add_argument("--default-tags", type=_tags, default={})
    parser.add_argument("--webhook-bind-port", type=int, default=9443)
    parser.add_argument("--webhook-cert-dir", type=Path, default=Path("/tmp/k8s-webhook-server/serving-certs"))  # noqa: S108
    parser.add_argument("--health-probe-bind-port", type=int, default=61779)
    known, unknown = parser.parse_known_args(argv)
    if unknown:
        log("flags that the stand-in ignores", flags=unknown)
    return known


def _tags(text: str) -> dict[str, str]:
    pairs = [item.partition("=") for item in text.split(",") if item]
    if not all(equals and key for key, equals, _ in pairs):
        raise argparse.ArgumentTypeError(f"{text} is not key=value,key=value")
    return {key: value for key, _, value in pairs}


class Controller:
    """The loop: woken by every change in the cluster, and by time."""

    def __init__(self, options: argparse.Namespace, api: Api, namespace: str, identity: str) -> None:
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._passed_at = time.monotonic()
        self.cluster = Cluster(api, self._wake.set)
        ec2, elbv2 = (_client(name, options.aws_region) for name in ("ec2", "elbv2"))
        deployer = Deployer(ec2, elbv2, options.aws_vpc_id, options.cluster_name)
        self.ingresses = Ingresses(
            self.cluster, deployer, options.cluster_name, options.ingress_class, options.default_tags
        )
        self._bindings = Bindings(self.cluster, elbv2)
        self._lease = Lease(api, namespace, LEASE, identity, self._wake.set)

    @property
    def alive(self) -> bool:
        """Whether the loop still turns."""
        return time.monotonic() - self._passed_at < ALIVE_SECONDS

    def end(self) -> None:
        """Stop after the current pass."""
        self._ended.set()
        self._wake.set()

    def run(self) -> None:
        """Reconcile until ended."""
        self.cluster.start()
        self._lease.start()
        while not self._ended.is_set():
            self._wake.clear()
            seconds = self._pass() if self._lease.held and self.cluster.synced else 1.0
            self._passed_at = time.monotonic()
            self._wake.wait(min(seconds, ALIVE_SECONDS / 2))
        self._lease.release()

    def _pass(self) -> float:
        return min(self.ingresses.reconcile(), self._bindings.reconcile())


def _client(service: str, region: str) -> Any:
    config = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 3, "mode": "standard"})
    return Session().create_client(service, region_name=region, config=config)


def main(argv: Sequence[str]) -> int:
    """Run until SIGTERM."""
    options = flags(argv)
    namespace = (ACCOUNT / "namespace").read_text().strip()
    controller = Controller(options, Api.in_cluster(os.environ), namespace, f"{os.uname().nodename}_{os.getpid()}")
    signal.signal(signal.SIGTERM, lambda *_: controller.end())
    signal.signal(signal.SIGINT, lambda *_: controller.end())
    log(
        "chaosctl's stand-in for the AWS Load Balancer Controller", cluster=options.cluster_name, vpc=options.aws_vpc_id
    )
    cluster = controller.cluster
    reviews: dict[str, web.Review] = {
        "/mutate-v1-pod": lambda request: web.with_gates(cluster, request),
        "/validate-networking-v1-ingress": lambda request: web.checked(controller.ingresses.is_ours, request),
    }
    serve_health(
        options.health_probe_bind_port, {"/healthz": lambda: controller.alive, "/readyz": lambda: cluster.synced}
    )
    web.Webhooks(reviews, options.webhook_cert_dir, options.webhook_bind_port).start()
    controller.run()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Exception as error:
        log("the controller cannot run", level="error", code=why(error)[0], error=str(error))
        sys.exit(1)
