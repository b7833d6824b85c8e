"""helm/cluster-autoscaler-lab: what the stage and the stand-in's image rely on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaosctl.adapters import process
from chaosctl.lab import images
from chaosctl.lab.standins.autoscaler.__main__ import LEASE, flags
from chaosctl.stages import autoscaler
from tests.contract.charts.conftest import Render

CHART = "cluster-autoscaler-lab"
NEEDED = (
    'autoDiscovery={"clusterName":"c"}',
    'awsRegion="us-west-2"',
    'fullnameOverride="cluster-autoscaler"',
    'rbac={"serviceAccount":{"name":"cluster-autoscaler"}}',
)


@pytest.fixture(scope="module")
def objects(render: Render) -> dict[str, dict[str, Any]]:
    return render(CHART, *NEEDED, target="lab")


def container(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return dict(objects["Deployment"]["spec"]["template"]["spec"]["containers"][0])


def test_lint(helm: str, charts: Path) -> None:
    process.run([helm, "lint", "--strict", charts / CHART, *(w for v in NEEDED for w in ("--set-json", v))])


def test_it_runs_the_image_that_the_lab_builds(objects: dict[str, dict[str, Any]]) -> None:
    assert container(objects)["image"] == images.AUTOSCALER == f"{autoscaler.IMAGE}:{autoscaler.TAG}"


@pytest.mark.parametrize("target", ["lab", "aws"])
def test_the_stand_in_understands_the_flags_of_both_targets(
    render: Render, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = flags(container(render(CHART, *NEEDED, target=target))["args"])
    assert options.node_group_auto_discovery == [
        "k8s.io/cluster-autoscaler/enabled",
        "k8s.io/cluster-autoscaler/c",
    ]
    assert not options.skip_nodes_with_local_storage  # the app's pods have an emptyDir: they would hold every node
    assert capsys.readouterr().err == ""


def test_names_are_those_that_the_stage_waits_for(objects: dict[str, dict[str, Any]]) -> None:
    assert objects["Deployment"]["metadata"]["name"] == autoscaler.RELEASE
    assert objects["ServiceAccount"]["metadata"]["name"] == autoscaler.RELEASE
    assert objects["Role"]["rules"][1]["resourceNames"] == [LEASE]


def test_without_a_region_it_is_refused(template: Callable[..., process.Completed]) -> None:
    done = template(CHART, NEEDED[0])
    assert done.status != 0
    assert "awsRegion is required" in done.stderr


def test_least_privilege(objects: dict[str, dict[str, Any]]) -> None:
    words = {word for rule in objects["ClusterRole"]["rules"] for word in [*rule["verbs"], *rule["resources"]]}
    assert not words & {"*", "secrets", "update", "delete"}


def test_hardened(objects: dict[str, dict[str, Any]]) -> None:
    assert objects["Deployment"]["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container(objects)["securityContext"]["readOnlyRootFilesystem"] is True
    assert container(objects)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
