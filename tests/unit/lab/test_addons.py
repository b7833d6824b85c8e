import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaosctl.lab import addons, images
from chaosctl.lab.desired import Addon, Cluster
from chaosctl.lab.kube_api import path_of
from chaosctl.lab.layout import Layout
from tests.unit.lab.examples import CLUSTER


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


class FakeStore:
    """One cluster with one add-on; `observed` counts how often that was said to be there."""

    def __init__(self) -> None:
        self.cluster, self.observed = CLUSTER, 0

    def clusters(self) -> list[Cluster]:
        return [self.cluster]

    def addons(self, cluster: str) -> list[Addon]:
        return [addon("kube-proxy")]

    def addon_observed(self, *_: object) -> None:
        self.observed += 1


def test_a_cluster_that_was_made_again_gets_its_addons_again(tmp_path: Path) -> None:
    store, layout = FakeStore(), Layout(tmp_path)
    layout.cluster("demo").mkdir(parents=True)
    (layout.cluster("demo") / "loopback").write_text("1")
    reconciler = addons.Addons(store, layout, {}, SimpleNamespace())  # type: ignore[arg-type]

    def reconciled() -> int:
        reconciler.reconcile()
        while any(reconciler._tasks.busy((c.hex_id, "kube-proxy")) for c in store.clusters()):
            time.sleep(0.001)
        return store.observed

    assert (reconciled(), reconciled()) == (1, 1)
    store.cluster = replace(CLUSTER, hex_id="f" * 32)
    assert (reconciled(), reconciled()) == (2, 2)
