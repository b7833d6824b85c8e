"""`python -m chaosctl.lab.shipper --root ROOT --cluster NAME --region REGION`: ship container logs until SIGTERM."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from chaosctl.errors import ChaosctlError
from chaosctl.lab import gateway
from chaosctl.lab.endpoint import Endpoint
from chaosctl.lab.kube_api import KubeApi
from chaosctl.lab.layout import Layout
from chaosctl.lab.pki import Pki
from chaosctl.lab.shipper.cloudwatch import TIMEOUT, CloudWatchLogs, PodIdentity, Unavailable
from chaosctl.lab.shipper.files import Container
from chaosctl.lab.shipper.program import AUDIENCE, NAMESPACE, SERVICE_ACCOUNT
from chaosctl.lab.shipper.shipper import Shipper


def main() -> int:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m chaosctl.lab.shipper", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="directory of the lab")
    parser.add_argument("--cluster", required=True, help="name of the cluster")
    parser.add_argument("--region", required=True, help="AWS region of the cluster")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each of its requests
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    layout = Layout(given.root)
    kube = KubeApi(gateway.address(layout, given.cluster), Pki.of(layout, given.cluster))
    with kube, httpx.Client(base_url=Endpoint(layout).url, timeout=TIMEOUT, trust_env=False) as http:
        identity = PodIdentity(http, given.cluster, lambda: _token(kube))
        service = CloudWatchLogs(http, given.region, identity)
        nodes = Nodes(layout, given.cluster)
        Shipper(given.cluster, nodes, service, lambda container: metadata(kube, container)).run(stopping)
    return 0


class Nodes:
    """The nodes of a cluster that have a directory: called, it gives the name of each."""

    def __init__(self, layout: Layout, cluster: str) -> None:
        self._directory, self._cluster = layout.node("x").parent, cluster
        self._records: dict[Path, dict[str, Any]] = {}

    def __call__(self) -> Mapping[Path, str]:
        """Directory and name of each node."""
        homes = list(self._directory.glob("i-*"))
        self._records = {home: self._records.get(home) or _record(home) for home in homes}
        return {home: said["node"] for home, said in self._records.items() if said.get("cluster") == self._cluster}


def _record(home: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):  # it is being made, or removed
        return dict(json.loads((home / "instance.json").read_text()))
    return {}


def _token(kube: KubeApi) -> str:
    """What kubelet would put into the agent's pod. Raises Unavailable."""
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [AUDIENCE], "expirationSeconds": 3600},
    }
    try:
        answer = kube.create(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{SERVICE_ACCOUNT}/token", request)
    except ChaosctlError as error:
        raise Unavailable(f"no token of the service account {NAMESPACE}/{SERVICE_ACCOUNT}: {error.why}") from error
    return str(answer["status"]["token"])


def metadata(kube: KubeApi, container: Container) -> dict[str, str]:
    """What only the API server knows of a container; empty when it does not answer or has no such pod (any more)."""
    with suppress(ChaosctlError):
        pod = kube.get(f"/api/v1/namespaces/{container.namespace}/pods/{container.pod}") or {}
        if pod.get("metadata", {}).get("uid") == container.pod_id:
            return _metadata(pod["status"], container)
    return {}


def _metadata(status: Mapping[str, Any], container: Container) -> dict[str, str]:
    kinds = ("containerStatuses", "initContainerStatuses")
    statuses = [one for kind in kinds for one in status.get(kind, ()) if one["name"] == container.name]
    if not statuses:
        return {}
    return {
        "pod_ip": status.get("podIP", ""),
        "container_hash": statuses[0].get("imageID", ""),
        "container_image": statuses[0].get("image", ""),
    }


if __name__ == "__main__":
    sys.exit(main())
