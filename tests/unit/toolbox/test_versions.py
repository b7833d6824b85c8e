import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.toolbox import versions
from chaosctl.toolbox.table import BUNDLES, Tool

TOOLS = {tool.name: tool for bundle in BUNDLES for tool in bundle.tools}
ANSWERS = [
    ("terraform", "Terraform v1.11.4\non linux_amd64\n", "1.11.4"),
    ("terraform", "Terraform v1.14.0-beta1\n", "1.14.0"),
    ("helm", "v4.1.4", "4.1.4"),
    ("kubectl", "Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0\n", "1.32.4"),
    ("etcd", "etcd Version: 3.7.2\nGit SHA: Not provided\nGo Version: go1.26.8\n", "3.7.2"),
    ("kubelet", "Kubernetes v1.36.3\n", "1.36.3"),
    ("containerd", "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3\n", "1.6.20"),
    ("containerd", "containerd github.com/containerd/containerd/v2 v2.3.4 05044ec\n", "2.3.4"),
    ("containerd-shim-runc-v2", "/opt/c-9.9/containerd-shim-runc-v2:\n  Version:  1.6.20~ds1\n", "1.6.20"),
    ("ctr", "ctr github.com/containerd/containerd 1.6.20~ds1\n", "1.6.20"),
    ("runc", "runc version 1.1.5+ds1\ncommit: 1.1.5\nspec: 1.0.2-dev\n", "1.1.5"),
    ("haproxy", "HAProxy version 2.6.12-1+deb12u4 2026/10/17\nFeature list : +EPOLL -KQUEUE +NS +PCRE2\n", "2.6.12"),
    ("haproxy", "HAProxy version 2.6.12-1+deb12u4 2026/10/17\nFeature list : +EPOLL -KQUEUE -NS +PCRE2\n", ""),
    ("nft", "nftables v1.0.6 (Lester Gooch #5)\n", "1.0.6"),
    ("conntrack", "conntrack v1.4.7 (conntrack-tools)\n", "1.4.7"),
    ("metrics-server", "v0.9.0\n", "0.9.0"),
    ("coredns", "CoreDNS-1.15.0\nlinux/amd64, go1.26.8, \n", "1.15.0"),
    ("kubectl", "error: unknown flag\n", ""),
]


@pytest.mark.parametrize(("name", "text", "version"), ANSWERS)
def test_version_in_what_programs_really_print(name: str, text: str, version: str) -> None:
    assert versions.answer(TOOLS[name], text) == version


@pytest.mark.parametrize(
    ("name", "version", "suits"),
    [
        ("terraform", "1.11.4", True),
        ("terraform", "1.15", True),
        ("terraform", "1.10.5", False),
        ("terraform", "2.0.0", False),
        ("helm", "3.18.0", False),
        ("kubectl", "1.32.4", False),
        ("kubectl", "1.37.0", True),
        ("kubelet", "1.35.9", False),
        ("haproxy", "", False),
        ("nft", "1.0.0", False),
    ],
)
def test_which_versions_will_do(name: str, version: str, suits: bool) -> None:
    assert versions.suits(TOOLS[name], version) is suits


@given(st.lists(st.integers(0, 999), min_size=2, max_size=3))
def test_versions_survive_being_printed(parts: list[int]) -> None:
    text = ".".join(map(str, parts))
    assert versions.as_tuple(versions.answer(Tool("any", ()), f"any v{text}-rc1")) == tuple(parts)
