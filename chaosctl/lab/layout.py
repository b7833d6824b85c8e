"""Where everything of one lab is: directories, names, addresses. Two labs on one machine share none of them.

A lab is identified by its state directory. Its `tag` (4 hex digits of a hash of that path) is part of every name that
is global to the machine: network namespaces, the cgroup, /run directory, hosts entries, loopback addresses.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path

from chaosctl import places

# Every tag has loopback addresses of its own, so that two labs never meet: 65,536 blocks of 128 in 127.128.0.0/9.
FIRST_ADDRESS = IPv4Address("127.128.0.0")
BLOCK = 128
AWS_ENDPOINT = 0  # its number in the block
CLUSTERS = range(1, 32)  # of the Kubernetes API servers
LOAD_BALANCERS = range(32, BLOCK - 2)  # more than the 50 that a Region grants; the last one can be a broadcast address


@dataclass(frozen=True)
class Layout:
    """Paths and names of the lab whose files are below `root`."""

    root: Path

    @cached_property
    def tag(self) -> str:
        """Four hex digits that no other lab on this machine has."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:4]

    @property
    def marker(self) -> tuple[str, str]:
        """Environment variable that every process of the lab carries, so that orphans can be found and ended."""
        return "LAB_OF_CHAOSCTL", str(self.root)

    @property
    def guest_marker(self) -> tuple[str, str]:
        """The same of programs that work on the lab from outside, and may outlive the command that started them."""
        return "GUEST_OF_CHAOSCTL", str(self.root)

    @property
    def run(self) -> Path:
        """Sockets and PID files: short, because a Unix socket's path has at most 107 characters."""
        return Path("/run") / f"chaosctl-{self.tag}"

    @property
    def logs(self) -> Path:
        """One file per process, rotated by the supervisor."""
        return self.root / "logs"

    @property
    def aws(self) -> Path:
        """The state of the lab's AWS, and its operator's credentials (0600)."""
        return self.root / "aws"

    @property
    def authority(self) -> Path:
        """Key and certificate of the lab's own certificate authority."""
        return self.root / "authority"

    @property
    def images(self) -> Path:
        """Container image archives built for this lab."""
        return self.root / "images"

    @property
    def environments(self) -> Path:
        """What chaosctl itself keeps of the deployments in it, one directory for each environment."""
        return self.root.parent / "environments" / "lab"

    def cluster(self, name: str) -> Path:
        """Keys, kubeconfigs and etcd data of the cluster `name`."""
        return self.root / "clusters" / name

    def node(self, instance_id: str) -> Path:
        """containerd, kubelet and CNI files of one instance."""
        return self.root / "nodes" / instance_id

    def vpc_netns(self, vpc_id: str) -> str:
        """Name of the network namespace of a VPC."""
        return f"chaosctl-{self.tag}-{vpc_id}"

    def node_netns(self, instance_id: str) -> str:
        """Name of the network namespace of an instance."""
        return f"chaosctl-{self.tag}-{instance_id}"

    @property
    def netns_prefix(self) -> str:
        """What all network namespaces of this lab begin with."""
        return f"chaosctl-{self.tag}-"

    @property
    def cgroup(self) -> str:
        """Name of the cgroup (below each controller's root) that holds the lab's nodes."""
        return f"chaosctl-{self.tag}"

    @property
    def hosts_marker(self) -> str:
        """Comment that ends each line of /etc/hosts that belongs to this lab."""
        return f"# chaosctl-{self.tag}"

    def loopback(self, index: int) -> str:
        """The loopback address number `index` (see AWS_ENDPOINT, CLUSTERS and LOAD_BALANCERS) of this lab."""
        return str(FIRST_ADDRESS + int(self.tag, 16) * BLOCK + 1 + index)


def default() -> Layout:
    """The lab of this user: CHAOSCTL_STATE_DIR/lab."""
    return Layout(places.state_dir() / "lab")


# Addresses inside a VPC that reach the lab's AWS; link-local, so that no VPC's CIDR can collide with them.
AWS_IN_VPC = "169.254.170.24"  # port 80: the AWS endpoint; port 443: webhooks, TLS by the cluster's authority
POD_IDENTITY_IN_VPC = "169.254.170.23"  # port 80: /v1/credentials, the address that EKS uses and the SDKs allow
