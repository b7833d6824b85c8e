import json
import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from chaosctl import toolbox
from chaosctl.toolbox.store import Store
from chaosctl.toolbox.table import BUNDLES, OLDEST_GO, Bundle

NODE = {"containerd", "containerd-shim-runc-v2", "ctr", "runc", "cni", "haproxy", "nft", "conntrack"}
CLUSTER = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"}
OTHERS = {"terraform", "helm", "kubectl", "metrics-server", "coredns"}
HERE = Path(toolbox.__file__).parent
MIRRORS = (HERE.parents[1] / "docs" / "mirrors.md").read_text()


def each(bundle: Bundle) -> str:
    return bundle.name


def test_every_tool_is_there_once() -> None:
    assert sorted(tool.name for bundle in BUNDLES for tool in bundle.tools) == sorted(NODE | CLUSTER | OTHERS)


@pytest.mark.parametrize("bundle", BUNDLES, ids=each)
def test_every_bundle_can_be_had_without_the_internet_at_large(bundle: Bundle) -> None:
    assert bundle.wheel or bundle.debs or bundle.go


@pytest.mark.parametrize("bundle", BUNDLES, ids=each)
def test_every_source_supplies_every_tool(bundle: Bundle) -> None:
    tools = {tool.name for tool in bundle.tools}
    for source in (bundle.download, bundle.debs):
        assert source is None or set(source.members) == tools
    assert bundle.wheel is None or tools <= set(bundle.wheel.members)


@pytest.mark.parametrize("bundle", [b for b in BUNDLES if b.download], ids=each)
def test_every_download_has_a_checksum_on_both_architectures(bundle: Bundle) -> None:
    assert bundle.download
    assert bundle.download.checksums or set(bundle.download.sha256) == {"amd64", "arm64"}


def test_document_names_what_has_no_checksum_here() -> None:
    (line,) = [line for line in MIRRORS.splitlines() if line.startswith("- For `")]
    downloads = [bundle for bundle in BUNDLES if bundle.download]
    unknown = {b.name: {"amd64", "arm64"} - set(b.download.sha256) for b in downloads if b.download}
    everywhere, on_arm = line.split(", and on arm64 for ")
    assert set(re.findall(r"`(\S+)`", everywhere)) == {name for name, where in unknown.items() if "amd64" in where}
    assert set(re.findall(r"`(\S+)`", on_arm)) == {name for name, where in unknown.items() if where == {"arm64"}}


def test_document_names_the_oldest_go() -> None:
    assert f"Go {OLDEST_GO} or newer" in MIRRORS


def test_checksums_are_sha256_and_different() -> None:
    pins = list(chain.from_iterable(b.download.sha256.values() for b in BUNDLES if b.download))
    assert all(re.fullmatch(r"[0-9a-f]{64}", pin) for pin in pins)
    assert len(set(pins)) == len(pins)


@pytest.mark.parametrize("bundle", [b for b in BUNDLES if b.download], ids=each)
def test_downloads_are_https_and_of_the_pinned_version(bundle: Bundle) -> None:
    assert bundle.download
    assert bundle.download.url.startswith("https://")
    assert bundle.version in bundle.download.url


@pytest.mark.parametrize("bundle", [b for b in BUNDLES if b.go], ids=each)
def test_go_modules_build_the_pinned_versions(bundle: Bundle) -> None:
    assert bundle.go
    required = (HERE / bundle.go.module / "go.mod").read_text()
    found = re.findall(r"^\s*(?:require )?(\S+) v([\d.]+)$", required, re.MULTILINE)
    assert bundle.version in [version for module, version in found if f"{bundle.go.package}/".startswith(f"{module}/")]


def test_every_fact_of_a_bundle_changes_its_place(tmp_path: Path) -> None:
    homes = {Store(tmp_path).home(bundle) for bundle in BUNDLES}
    assert len(homes) == len(BUNDLES)


def test_wheel_ships_what_a_build_needs() -> None:
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())
    assert "chaosctl" in json.dumps(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
