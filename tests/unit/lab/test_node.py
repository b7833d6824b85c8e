import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from chaosctl.lab import node
from chaosctl.lab.layout import Layout
from chaosctl.lab.node import MIB, Machine, Node
from tests.unit.lab.examples import CLUSTER, INSTANCE

LARGE = Machine(cpus=8, memory=32 * 1024 * MIB, may_protect=True)
SMALL = Machine(cpus=2, memory=2 * 1024 * MIB, may_protect=False)
TOOLS = {name: Path("/tools") / name for name in ("cni", "runc")}


def test_labels_are_those_of_a_managed_node() -> None:
    labels = node.labels(INSTANCE)

    assert labels["topology.kubernetes.io/zone"] == "us-west-2a"
    assert labels["topology.kubernetes.io/region"] == "us-west-2"
    assert labels["eks.amazonaws.com/nodegroup"] == "default"
    assert labels["team"] == "blue"


def test_taints_are_spelled_as_kubernetes_does() -> None:
    assert node.taints(INSTANCE) == [{"key": "dedicated", "value": "app", "effect": "NoSchedule"}]


def test_kubelet_says_which_instance_it_is(tmp_path: Path) -> None:
    config = node.kubelet_config(Layout(tmp_path), CLUSTER, INSTANCE, LARGE)

    assert config["providerID"] == "aws:///us-west-2a/i-0123456789abcdef0"
    assert config["clusterDNS"] == ["172.20.0.10"]
    assert config["cgroupRoot"].endswith("/i-0123456789abcdef0")


def test_machine_looks_as_large_as_the_instance() -> None:
    assert node.reserved("t3.medium", LARGE) == {"cpu": "6070m", "memory": f"{28 * 1024 + 574}Mi"}


def test_machine_smaller_than_the_instance_reserves_the_least() -> None:
    assert node.reserved("t3.large", SMALL) == {"cpu": "70m", "memory": "574Mi"}


def test_as_many_pods_as_addresses() -> None:
    assert node.max_pods(INSTANCE.pod_prefixes) == 24
    assert node.max_pods(["10.0.0.0/24"]) == 110


def test_pods_get_addresses_of_every_prefix() -> None:
    ipam = node.cni(INSTANCE.pod_prefixes)["plugins"][0]["ipam"]

    assert [entry["subnet"] for entry in ipam["ranges"][0]] == ["10.0.10.32/28", "10.0.10.48/28"]


@pytest.mark.parametrize(("machine", "restricted"), [(LARGE, False), (SMALL, True)])
def test_oom_scores_are_restricted_where_they_must_be(machine: Machine, restricted: bool, tmp_path: Path) -> None:
    made = Node(Layout(tmp_path), INSTANCE.id)
    config = tomllib.loads(node.containerd_config(made, TOOLS, machine))

    assert config["plugins"]["io.containerd.grpc.v1.cri"]["restrict_oom_score_adj"] is restricted


def test_sockets_are_short_wherever_the_lab_is(tmp_path: Path) -> None:
    made = Node(Layout(tmp_path / ("x" * 100)), INSTANCE.id)

    assert len(f"{made.socket}.ttrpc") < 108


def test_all_processes_of_a_node_can_be_found(tmp_path: Path) -> None:
    made = Node(Layout(tmp_path), INSTANCE.id)
    tools = {name: Path("/tools") / name for name in ("kubelet",)}
    program = made._kubelet("netns", INSTANCE, tools)

    assert program.env[node.MARK] == INSTANCE.id
    assert program.name in made.programs


def test_unknown_instance_type_counts_as_a_medium_one() -> None:
    assert node.reserved("x9.huge", LARGE) == node.reserved("t3.medium", LARGE)


def test_local_zone_keeps_its_region() -> None:
    instance = replace(INSTANCE, subnet=replace(INSTANCE.subnet, az="eu-central-1c"))

    assert node.labels(instance)["topology.kubernetes.io/region"] == "eu-central-1"
