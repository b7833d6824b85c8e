"""The lab's Kubernetes without its AWS: clusters, nodes and add-ons from a store that is plain data."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from chaosctl import places
from chaosctl.adapters import process
from chaosctl.config import ToolboxSettings
from chaosctl.events import ignore
from chaosctl.lab import cgroups, cleanup, gateway, images, namespaces, network, processes, python_runtime
from chaosctl.lab.addons import Addons
from chaosctl.lab.clusters import Clusters
from chaosctl.lab.desired import Addon, Cluster, Instance, Vpc
from chaosctl.lab.kube_api import KubeApi
from chaosctl.lab.layout import Layout
from chaosctl.lab.node import Node
from chaosctl.lab.nodes import NODES, Nodes, is_ready
from chaosctl.lab.pki import Pki
from chaosctl.lab.reconciler import Loop
from chaosctl.lab.supervisor import Program, Supervisor
from chaosctl.toolbox import Toolbox
from chaosctl.waiting import wait_until
from tests.unit.lab import examples

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.getuid() != 0, reason="needs root"),
]

ADDONS = ("coredns", "kube-proxy", "metrics-server")
PODS = "/api/v1/namespaces/default/pods"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "backend", "namespace": "default"},
    "spec": {"containers": [{"name": "backend", "image": images.BACKEND, "imagePullPolicy": "IfNotPresent"}]},
}
LOOK_UP = "import socket; print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))"


@dataclass
class FakeStore:
    """Desired state as lists to change; observations as a list to look at."""

    wanted_clusters: list[Cluster] = field(default_factory=list)
    wanted_instances: list[Instance] = field(default_factory=list)
    wanted_addons: list[Addon] = field(default_factory=list)
    seen: list[tuple[object, ...]] = field(default_factory=list)

    def vpcs(self) -> Sequence[Vpc]:
        return [examples.VPC]

    def clusters(self) -> Sequence[Cluster]:
        return list(self.wanted_clusters)

    def instances(self) -> Sequence[Instance]:
        return list(self.wanted_instances)

    def addons(self, cluster: str) -> Sequence[Addon]:
        return list(self.wanted_addons)

    def cluster_observed(self, name: str, status: str, *, endpoint: str = "", ca_pem: bytes = b"") -> None:
        self.seen.append(("cluster", name, status))

    def cluster_gone(self, name: str) -> None:
        self.wanted_clusters.clear()
        self.seen.append(("cluster gone", name))

    def node_observed(self, instance_id: str, *, ready: bool) -> None:
        self.seen.append(("node", instance_id, ready))

    def addon_observed(self, cluster: str, name: str, status: str, issue: str = "") -> None:
        self.seen.append(("addon", name, status))

    def addon_gone(self, cluster: str, name: str) -> None:
        self.wanted_addons[:] = [addon for addon in self.wanted_addons if addon.name != name]
        self.seen.append(("addon gone", name))


@dataclass
class Lab:
    """A lab whose AWS is a FakeStore."""

    layout: Layout
    store: FakeStore
    loops: Sequence[Loop]
    tools: dict[str, Path]

    def expect(self, *observations: tuple[object, ...], timeout: float = 60) -> float:
        """Wait for observations and return how long it took."""
        started = time.monotonic()
        self.wake()
        eventually(lambda: set(observations) <= set(self.store.seen), f"{observations}", timeout)
        return time.monotonic() - started

    def wake(self) -> None:
        for loop in self.loops:
            loop.wake()

    def api(self) -> KubeApi:
        return KubeApi(gateway.address(self.layout, "demo"), Pki.of(self.layout, "demo"))

    def kubectl(self, *argv: str) -> str:
        kubeconfig = self.layout.cluster("demo") / "admin.kubeconfig"
        return process.run([self.tools["kubectl"], "--kubeconfig", kubeconfig, *argv], timeout=60).stdout

    def pid(self, program: str) -> int:
        """0 while it does not run. The shims of a containerd have its environment."""
        found = processes.with_environment(f"LAB_UNIT={program}")
        return next((pid for pid in found if not processes.is_shim(pid)), 0)


def eventually(check: Callable[[], object], what: str, timeout: float = 30) -> None:
    wait_until(lambda: (bool(check()), ""), what, timeout=timeout, emit=ignore, interval=0.05)


@pytest.fixture(scope="module")
def tools() -> dict[str, Path]:
    names = (
        "etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl containerd "
        "containerd-shim-runc-v2 ctr runc cni haproxy nft conntrack metrics-server coredns"
    )
    return Toolbox(places.cache_dir(), ToolboxSettings(), ignore).ensure(*names.split())


@pytest.fixture(scope="module")
def lab(tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    layout = Layout(tmp_path_factory.mktemp("kubernetes") / "lab")
    supervisor, store = Supervisor(layout), FakeStore()
    try:
        supervisor.start()
        (layout.root / "lab.json").write_text('{"aws_port": 9}')  # nothing listens there: the cluster must not mind
        images.build(layout, tools)
        loops = [Loop(kind(store, layout, tools, supervisor)) for kind in (Clusters, Nodes, Addons)]  # type: ignore[arg-type]
        for loop in loops:
            loop.start()
        yield Lab(layout, store, loops, tools)
        for loop in loops:
            loop.stop()
    finally:
        cleanup.remove_everything(layout)
    assert cleanup.inventory(layout) == []


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Lab:
    lab.store.wanted_clusters.append(examples.CLUSTER)
    lab.expect(("cluster", "demo", "ACTIVE"), timeout=120)
    return lab


@pytest.fixture(scope="module")
def nodes(cluster: Lab) -> Lab:
    instances = (examples.INSTANCE, examples.SECOND_INSTANCE)
    cluster.store.wanted_instances.extend(replace(instance, taints=()) for instance in instances)
    cluster.store.wanted_addons.extend(Addon("demo", name, "v1", {}) for name in ADDONS)
    cluster.expect(*(("node", instance.id, True) for instance in instances), timeout=120)
    return cluster


@pytest.fixture(scope="module")
def backend(nodes: Lab) -> Lab:
    nodes.expect(*(("addon", name, "ACTIVE") for name in ADDONS), timeout=120)
    with nodes.api() as api:
        eventually(lambda: api.get("/api/v1/namespaces/default/serviceaccounts/default"), "the service account")
        api.apply([POD])
        eventually(lambda: phase(api) == "Running", "the pod runs", 60)
    return nodes


def phase(api: KubeApi) -> str:
    return str((api.get(f"{PODS}/backend") or {}).get("status", {}).get("phase"))


def node_objects(lab: Lab) -> list[dict[str, Any]]:
    with lab.api() as api:
        return list((api.get(NODES) or {})["items"])


def test_nodes_say_which_instance_and_zone_they_are(nodes: Lab) -> None:
    found = {
        (node["spec"]["providerID"], node["metadata"]["labels"]["topology.kubernetes.io/zone"])
        for node in node_objects(nodes)
    }

    assert found == {
        ("aws:///us-west-2a/i-0123456789abcdef0", "us-west-2a"),
        ("aws:///us-west-2b/i-0fedcba9876543210", "us-west-2b"),
    }


def test_nodes_look_like_their_instance_type(nodes: Lab) -> None:
    allocatable = node_objects(nodes)[0]["status"]["allocatable"]

    assert allocatable["pods"] == "24"
    assert 3_000_000 < int(allocatable["memory"].removesuffix("Ki")) < 3_700_000


def test_logs_come_through(backend: Lab) -> None:
    eventually(lambda: "backend" in backend.kubectl("logs", "backend"), "the log has a line")


def test_exec_finds_services_by_name(backend: Lab) -> None:
    python = (python_runtime.PROGRAM, "-S", "-c", LOOK_UP)

    assert backend.kubectl("exec", "backend", "--", *python).strip() == "172.20.0.1"


def test_dns_servers_are_on_different_nodes(backend: Lab) -> None:
    names = backend.kubectl(
        "-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "jsonpath={.items[*].spec.nodeName}"
    )

    assert len(set(names.split())) == 2


def test_top_knows_the_nodes(backend: Lab) -> None:
    assert "ip-10-0-10-20" in backend.kubectl("top", "nodes")


def test_without_credentials_one_sees_only_that_it_is_well(cluster: Lab) -> None:
    url = f"https://{gateway.address(cluster.layout, 'demo')}"
    statuses = [
        subprocess.run(
            [
                "curl",
                "--silent",
                "--insecure",
                "--noproxy",
                "*",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                f"{url}{path}",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for path in ("/livez", "/api/v1/nodes")
    ]

    assert statuses == ["200", "401"]


@pytest.mark.parametrize(
    "program",
    ["demo.kube-apiserver", "i-0123456789abcdef0.kubelet", "i-0123456789abcdef0.containerd", "demo.etcd"],
)
def test_what_is_killed_comes_back(backend: Lab, program: str) -> None:
    before = backend.pid(program)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: backend.pid(program) not in (0, before), f"{program} is restarted")
    with backend.api() as api:
        wait_until(api.ready, "the API server is ready", timeout=30, emit=ignore)

        assert phase(api) == "Running"


def test_containers_survive_the_death_of_the_supervisor(backend: Lab) -> None:
    shims = {pid for pid in processes.with_marker(backend.layout.marker) if processes.is_shim(pid)}
    supervisor = Supervisor(backend.layout)
    os.kill(int((backend.layout.run / "supervisord.pid").read_text()), signal.SIGKILL)
    eventually(lambda: not supervisor.running(), "it is dead")
    supervisor.start()
    with backend.api() as api:
        wait_until(api.ready, "the API server is back", timeout=60, emit=ignore)
        eventually(lambda: sum(map(is_ready, node_objects(backend))) == 2, "both nodes are ready", 60)
        now = {pid for pid in processes.with_marker(backend.layout.marker) if processes.is_shim(pid)}

        assert phase(api) == "Running"
        assert now == shims


def test_a_terminated_instance_is_gone_with_all_it_had(backend: Lab) -> None:
    gone = examples.SECOND_INSTANCE
    backend.store.wanted_instances[:] = [i for i in backend.store.wanted_instances if i.id != gone.id]
    backend.wake()
    backend.expect(("node", gone.id, False))
    eventually(lambda: not backend.layout.node(gone.id).exists(), "its files are gone", 60)
    eventually(lambda: len(node_objects(backend)) == 1, "its node object is gone", 60)

    assert processes.with_environment(f"LAB_NODE={gone.id}") == []
    assert not [line for line in cleanup.inventory(backend.layout) if gone.id in line]


def test_a_deleted_cluster_leaves_only_the_supervisor(backend: Lab) -> None:
    backend.store.wanted_instances.clear()
    backend.store.wanted_clusters[:] = [replace(examples.CLUSTER, deleting=True)]
    backend.expect(("cluster gone", "demo"))
    eventually(lambda: not list(backend.layout.node("x").parent.glob("i-*")), "the nodes are gone")

    assert set(Supervisor(backend.layout).programs()) == set()
    assert not [line for line in cleanup.inventory(backend.layout) if "namespace" in line]


def test_a_lab_that_is_half_built_and_killed_can_be_removed(tmp_path: Path) -> None:
    layout, instance = Layout(tmp_path / "lab"), examples.INSTANCE
    supervisor, node = Supervisor(layout), Node(layout, instance.id)
    supervisor.start()
    network.ensure_vpc(layout, examples.VPC)
    netns = network.ensure_instance(layout, instance)
    cgroups.ensure(layout, instance.id)
    namespaces.create_mount(node.mount_ns, lambda: namespaces.mount("tmpfs", "/mnt", "tmpfs"))
    supervisor.ensure(Program("sleeper", ("sleep", "1000"), netns=netns, mount_ns=node.mount_ns))
    os.kill(int((layout.run / "supervisord.pid").read_text()), signal.SIGKILL)
    for _ in range(2):
        cleanup.remove_everything(layout)

    assert cleanup.inventory(layout) == []
