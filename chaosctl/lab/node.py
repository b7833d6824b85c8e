"""One instance as a node: containerd, kubelet and kube-proxy, in a network and a mount namespace of their own.

In its mount namespace a node finds /run and /var empty, as a new machine would: what has a fixed place there
(/run/containerd, /var/lib/kubelet, /var/log/containers) is its own, and every mount of its pods ends with it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from chaosctl.events import ignore
from chaosctl.lab import cgroups, images, machine_image, namespaces, network, processes
from chaosctl.lab.control_plane import API_PORT
from chaosctl.lab.desired import Cluster, Instance
from chaosctl.lab.layout import Layout
from chaosctl.lab.pki import Pki, dns_address, node_identities, write_private
from chaosctl.lab.supervisor import Program, Supervisor
from chaosctl.waiting import wait_until

MARK = "LAB_NODE"  # environment variable of a node's processes, shims included
UNUSABLE = 3  # addresses of a prefix that no pod gets: the first, the last, and the one that is its pods' router
KUBE_RESERVED = {"cpu": 70, "memory": 574}  # milli-CPUs and MiB that EKS keeps for itself on a t3.medium
EVICTION = 100  # MiB
CAP_SYS_RESOURCE = 24
MIB = 1 << 20

# vCPUs and GiB, https://aws.amazon.com/ec2/instance-types/; what is not here counts as a t3.medium.
INSTANCE_TYPES = {
    "t3.small": (2, 2),
    "t3.medium": (2, 4),
    "t3.large": (2, 8),
    "t3.xlarge": (4, 16),
    "m5.large": (2, 8),
    "m6i.large": (2, 8),
    "m7i.large": (2, 8),
    "c6i.large": (2, 4),
}

# EKS spells effects in its own way.
EFFECTS = {"NO_SCHEDULE": "NoSchedule", "PREFER_NO_SCHEDULE": "PreferNoSchedule", "NO_EXECUTE": "NoExecute"}

# Where a node finds the directories below its own.
PLACES = {
    "containerd": "/var/lib/containerd",
    "containers": "/var/log/containers",
    "kubelet": "/var/lib/kubelet",
    "pods": "/var/log/pods",
}

# kubelet sets these for the whole machine, unless it finds them so already: it finds files with these values instead.
KERNEL_TUNABLES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

MEMORY = {"GOGC": "60"}  # as of the control plane, which says why


@dataclass(frozen=True)
class Machine:
    """What kubelet will find: CPUs, memory in bytes, whether processes may lower their OOM score."""

    cpus: int
    memory: int
    may_protect: bool

    @classmethod
    def this(cls) -> Machine:
        """The machine that this runs on."""
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        effective = int(status["CapEff"], 16)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return cls(os.cpu_count() or 1, memory, bool(effective >> CAP_SYS_RESOURCE & 1))


class Node:
    """Start and remove one instance."""

    def __init__(self, layout: Layout, instance_id: str) -> None:
        self.layout = layout
        self.id = instance_id
        self.home = layout.node(instance_id)
        self.mount_ns = layout.run / "ns" / instance_id
        self.socket = layout.run / f"{instance_id}.containerd"

    @property
    def programs(self) -> tuple[str, ...]:
        """Names of its supervised programs."""
        return tuple(f"{self.id}.{name}" for name in ("containerd", "kubelet", "kube-proxy"))

    @property
    def _record(self) -> Path:
        return self.home / "instance.json"

    def start(
        self,
        cluster: Cluster,
        instance: Instance,
        tools: Mapping[str, Path],
        supervisor: Supervisor,
        image: Path,
    ) -> None:
        """Bring the node up, or what is missing of it, from a machine image; returns when all of it was started."""
        machine = Machine.this()
        self._write_files(cluster, instance, tools, machine)
        if not (self.home / "containerd").exists():
            machine_image.copy(image, self.home / "containerd")
        netns = network.ensure_instance(self.layout, instance)
        cgroups.ensure(self.layout, self.id)
        namespaces.create_mount(self.mount_ns, partial(self._furnish, tuple(tools.values())))
        supervisor.ensure(self._containerd(netns, tools))
        self._wait_for_containerd()
        supervisor.ensure(self._kubelet(netns, instance, tools))
        supervisor.ensure(self._kube_proxy(netns, tools))

    def remove(self, supervisor: Supervisor | None) -> None:
        """End the node at once, as a power cut would, and remove all of it; works when it is half built."""
        if supervisor:
            supervisor.remove(*self.programs)
        processes.end(processes.with_environment(f"{MARK}={self.id}"), grace=0)
        cgroups.remove(self.layout, self.id)
        record = self.recorded()
        network.remove_instance(self.layout, self.id, record.get("vpc_id", ""), record.get("pod_prefixes", ()))
        namespaces.delete_mount(self.mount_ns)
        for file in self.layout.run.glob(f"{self.id}.*"):
            file.unlink()
        shutil.rmtree(self.home, ignore_errors=True)

    def recorded(self) -> dict[str, Any]:
        """What removing the node needs to know of its instance: vpc_id, pod_prefixes, cluster, node (its name)."""
        try:
            return dict(json.loads(self._record.read_text()))
        except (OSError, ValueError):
            return {}

    def _write_files(self, cluster: Cluster, instance: Instance, tools: Mapping[str, Path], machine: Machine) -> None:
        for name in ("cni", "containers", "kubelet", "pods", "tmp"):
            (self.home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        record = {
            "vpc_id": instance.vpc_id,
            "pod_prefixes": list(instance.pod_prefixes),
            "cluster": instance.cluster,
            "node": instance.private_dns_name,
        }
        write_private(self._record, json.dumps(record))
        pki = Pki.of(self.layout, cluster.name)
        pki.ensure(node_identities(instance))
        server = f"https://{cluster.address}:{API_PORT}"
        write_private(self.home / "kubelet.kubeconfig", pki.kubeconfig(server, f"kubelet-{instance.id}"))
        write_private(self.home / "kube-proxy.kubeconfig", pki.kubeconfig(server, "kube-proxy"))
        write_private(self.home / "resolv.conf", resolv_conf(cluster))
        write_private(self.home / "cni" / "10-vpc.conflist", json.dumps(cni(instance.pod_prefixes), indent=1))
        write_private(self.home / "containerd.toml", containerd_config(self, tools, machine))
        kubelet = kubelet_config(self.layout, cluster, instance, machine)
        write_private(self.home / "kubelet.json", json.dumps(kubelet, indent=1))
        write_private(self.home / "kube-proxy.json", json.dumps(proxy_config(self.home, instance), indent=1))

    def _containerd(self, netns: str, tools: Mapping[str, Path]) -> Program:
        path = _search_path(tools["containerd-shim-runc-v2"], tools["runc"])
        argv = (str(tools["containerd"]), "--config", str(self.home / "containerd.toml"))
        # Its shims, and with them the containers, must outlive it.
        return self._program("containerd", argv, netns, {**path, "TMPDIR": str(self.home / "tmp")}, as_group=False)

    def _kubelet(self, netns: str, instance: Instance, tools: Mapping[str, Path]) -> Program:
        argv = (
            str(tools["kubelet"]),
            f"--config={self.home / 'kubelet.json'}",
            f"--kubeconfig={self.home / 'kubelet.kubeconfig'}",
            f"--hostname-override={instance.private_dns_name}",
            f"--node-ip={instance.private_ip}",
            f"--node-labels={','.join(f'{key}={value}' for key, value in labels(instance).items())}",
        )
        return self._program("kubelet", argv, netns, {})

    def _kube_proxy(self, netns: str, tools: Mapping[str, Path]) -> Program:
        argv = (str(tools["kube-proxy"]), f"--config={self.home / 'kube-proxy.json'}")
        return self._program("kube-proxy", argv, netns, _search_path(tools["nft"], tools["conntrack"]))

    def _program(
        self, name: str, argv: tuple[str, ...], netns: str, env: Mapping[str, str], *, as_group: bool = True
    ) -> Program:
        return Program(
            name=f"{self.id}.{name}",
            argv=argv,
            env={**MEMORY, **env, MARK: self.id},
            netns=netns,
            mount_ns=self.mount_ns,
            stop_signal="KILL",  # an instance is only ever stopped by cutting its power
            as_group=as_group,
            group=f"node:{self.id}",
        )

    def _furnish(self, needed: Sequence[Path]) -> None:
        """Set up the mounts of the node; runs inside its mount namespace."""
        kept = _hidden((self.layout.root, self.layout.run, *needed))
        for file in namespaces.NETNS.glob("*"):
            namespaces.unmount(file)  # or this copy would keep the network namespace of a removed VPC alive
        for directory in ("/run", "/var"):
            namespaces.mount("tmpfs", directory, "tmpfs", data="mode=0755")
        for path, descriptor in kept.items():
            _reappear(path, descriptor)
        Path("/var/run").symlink_to("/run")
        for directory in ("/var/tmp", "/run/netns"):  # noqa: S108 - the node's own
            Path(directory).mkdir(parents=True)
        for name, place in PLACES.items():
            Path(place).mkdir(parents=True)
            namespaces.bind(self.home / name, place)
        for name, value in KERNEL_TUNABLES.items():
            _pretend(Path("/proc/sys") / name, value)
        namespaces.share("/")

    def _wait_for_containerd(self) -> None:
        wait_until(lambda: (_listening(self.socket), ""), "containerd listens", timeout=20, emit=ignore, interval=0.02)


def labels(instance: Instance) -> dict[str, str]:
    """The labels that EKS gives to a node of a managed group, and the group's own."""
    return {
        **instance.labels,
        "topology.kubernetes.io/region": instance.subnet.az.rstrip("abcdef"),
        "topology.kubernetes.io/zone": instance.subnet.az,
        "node.kubernetes.io/instance-type": instance.instance_type,
        "eks.amazonaws.com/nodegroup": instance.nodegroup,
        "eks.amazonaws.com/capacityType": "ON_DEMAND",
    }


def taints(instance: Instance) -> list[dict[str, str]]:
    """Taints as Kubernetes spells them."""
    return [
        {
            "key": taint["key"],
            "value": taint.get("value", ""),
            "effect": EFFECTS.get(taint["effect"], taint["effect"]),
        }
        for taint in instance.taints
    ]


def max_pods(pod_prefixes: Sequence[str]) -> int:
    """How many pods can have an address, two less: a pod's successor comes before its own address is free again."""
    addresses = sum(IPv4Network(prefix).num_addresses - UNUSABLE for prefix in pod_prefixes)
    return max(1, min(110, addresses - 2))


def reserved(instance_type: str, machine: Machine) -> dict[str, str]:
    """What to keep from pods, so that the machine looks as large as `instance_type` is in EKS."""
    cpus, gib = INSTANCE_TYPES.get(instance_type, INSTANCE_TYPES["t3.medium"])
    surplus_cpu = max(0, machine.cpus - cpus) * 1000
    surplus_memory = max(0, machine.memory // MIB - gib * 1024)
    return {
        "cpu": f"{surplus_cpu + KUBE_RESERVED['cpu']}m",
        "memory": f"{surplus_memory + KUBE_RESERVED['memory']}Mi",
    }


def resolv_conf(cluster: Cluster) -> str:
    """The node's resolver: there is no other than the cluster's."""
    return f"nameserver {dns_address(cluster.service_cidr)}\nsearch {cluster.region}.compute.internal\n"


def cni(pod_prefixes: Sequence[str]) -> Mapping[str, Any]:
    """CNI configuration: pods get addresses from the instance's prefixes, without translation, as in EKS."""
    ranges = [{"subnet": prefix} for prefix in pod_prefixes]
    ipam = {"type": "host-local", "ranges": [ranges], "routes": [{"dst": "0.0.0.0/0"}]}
    return {"cniVersion": "0.4.0", "name": "vpc", "plugins": [{"type": "ptp", "mtu": 1500, "ipam": ipam}]}


CONTAINERD = """\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.native", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]

[grpc]
  address = "{socket}"

[ttrpc]
  address = "{socket}.ttrpc"

[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = {restrict}
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{cni}"
  conf_dir = "{conf}"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  BinaryName = "{runc}"
"""


def containerd_config(node: Node, tools: Mapping[str, Path], machine: Machine) -> str:
    """containerd's configuration, TOML."""
    return CONTAINERD.format(
        socket=node.socket,
        pause=images.PAUSE,
        restrict="false" if machine.may_protect else "true",
        cni=tools["cni"],
        conf=node.home / "cni",
        runc=tools["runc"],
    )


def kubelet_config(layout: Layout, cluster: Cluster, instance: Instance, machine: Machine) -> Mapping[str, Any]:
    """KubeletConfiguration."""
    pki, home = Pki.of(layout, cluster.name), layout.node(instance.id)
    serving = pki.pair(f"kubelet-{instance.id}-server")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": instance.private_ip,
        "providerID": f"aws:///{instance.subnet.az}/{instance.id}",
        "registerWithTaints": taints(instance),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki.ca.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "containerRuntimeEndpoint": f"unix://{Node(layout, instance.id).socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroups.of_node(layout, instance.id),
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [dns_address(cluster.service_cidr)],
        "clusterDomain": "cluster.local",
        "resolvConf": str(home / "resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "makeIPTablesUtilChains": False,  # kube-proxy speaks nftables
        "maxPods": max_pods(instance.pod_prefixes),
        "oomScoreAdj": -999 if machine.may_protect else 0,
        "systemReserved": reserved(instance.instance_type, machine),
        "evictionHard": {"memory.available": f"{EVICTION}Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,  # an image that is gone could not be pulled again
        "serializeImagePulls": False,
        "containerLogMaxSize": "5Mi",
        "readOnlyPort": 0,
    }


def proxy_config(home: Path, instance: Instance) -> Mapping[str, Any]:
    """KubeProxyConfiguration."""
    # Connection tracking is sized for the whole machine: not ours to change.
    untouched = {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": instance.private_dns_name,
        "clientConnection": {"kubeconfig": str(home / "kube-proxy.kubeconfig")},
        "conntrack": untouched,
        "oomScoreAdj": 0,
    }


def _search_path(*programs: Path) -> dict[str, str]:
    directories = [str(program.parent) for program in programs]
    return {"PATH": ":".join([*dict.fromkeys(directories), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])}


def _hidden(paths: Sequence[Path]) -> dict[Path, int]:
    """Open what lies below /run or /var: those are about to be covered."""
    resolved = {path.resolve() for path in paths}
    covered = {path for path in resolved if path.is_relative_to("/run") or path.is_relative_to("/var")}
    outermost = [path for path in covered if not any(other in covered for other in path.parents)]
    return {path: os.open(path if path.is_dir() else path.parent, os.O_PATH) for path in outermost}


def _reappear(path: Path, descriptor: int) -> None:
    source = Path(f"/proc/self/fd/{descriptor}")
    target = path if path.exists() or source.resolve() == path else path.parent
    target.mkdir(parents=True, exist_ok=True)
    namespaces.bind(source, target)
    os.close(descriptor)


def _pretend(file: Path, value: str) -> None:
    if file.exists():
        stand_in = Path("/run/kernel") / file.name
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(f"{value}\n")
        namespaces.bind(stand_in, file)


def _listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as attempt, suppress(OSError):
        attempt.connect(str(path))
        return True
    return False
