from pathlib import Path

import pytest

from chaosctl.lab import addons, images
from chaosctl.lab.desired import Addon
from chaosctl.lab.kube_api import path_of
from chaosctl.lab.layout import Layout

from .examples import CLUSTER


def addon(name: str, **configuration: object) -> Addon:
    return Addon("demo", name, "v1", configuration)


@pytest.mark.parametrize("name", sorted({*addons.WORKLOADS, *addons.PROGRAMS}))
def test_every_object_has_a_path(name: str) -> None:
    assert all(path_of(item).startswith(("/api/", "/apis/")) for item in addons.manifests(addon(name), CLUSTER))


def test_dns_has_the_address_that_pods_are_told() -> None:
    services = [item for item in addons.manifests(addon("coredns"), CLUSTER) if item["kind"] == "Service"]

    assert services[0]["spec"]["clusterIP"] == "172.20.0.10"


def test_replicas_can_be_configured() -> None:
    deployment = addons.manifests(addon("coredns", replicaCount=3), CLUSTER)[-1]

    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == images.COREDNS


def test_what_the_lab_does_otherwise_needs_no_objects() -> None:
    assert addons.manifests(addon("kube-proxy"), CLUSTER) == ()


def test_an_addon_may_run_beside_the_cluster(tmp_path: Path) -> None:
    (shipper,) = addons.programs(addon("amazon-cloudwatch-observability"), CLUSTER, Layout(tmp_path))

    assert (shipper.name, shipper.group) == ("demo.log-shipper", "cluster:demo")  # it ends with its cluster


def test_deployment_is_unready_until_all_pods_are_available() -> None:
    deployment = {"metadata": {"generation": 1}, "spec": {"replicas": 2}}
    status = {"observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": 1}

    assert addons.unready({**deployment, "status": status}) == "1 of 2 pods are available"
    assert addons.unready({**deployment, "status": {**status, "availableReplicas": 2}}) == ""
    assert addons.unready(deployment) == "not looked at yet"
