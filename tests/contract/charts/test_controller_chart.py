"""helm/aws-load-balancer-controller-lab: what the stages and the stand-in's image rely on."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosctl.adapters import process
from chaosctl.lab import images
from chaosctl.lab.standins.controller.__main__ import flags
from tests.contract.charts.conftest import Render

CHART = "aws-load-balancer-controller-lab"
NEEDED = ('clusterName="c"', 'region="us-west-2"', 'vpcId="vpc-1"')


@pytest.fixture(scope="module")
def objects(render: Render) -> dict[str, dict[str, Any]]:
    return render(CHART, *NEEDED, target="lab")


def container(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return dict(objects["Deployment"]["spec"]["template"]["spec"]["containers"][0])


def test_lint(helm: str, charts: Path) -> None:
    process.run([helm, "lint", "--strict", charts / CHART, *(w for v in NEEDED for w in ("--set-json", v))])


def test_it_runs_the_image_that_the_lab_builds(objects: dict[str, dict[str, Any]]) -> None:
    assert container(objects)["image"] == images.CONTROLLER
    assert container(objects)["imagePullPolicy"] == "IfNotPresent"


def test_the_stand_in_understands_its_flags(render: Render, capsys: pytest.CaptureFixture[str]) -> None:
    objects = render(CHART, *NEEDED, 'defaultTags={"a":"b","chaosctl:cluster":"c"}')
    options = flags(container(objects)["args"])
    assert options.default_tags == {"a": "b", "chaosctl:cluster": "c"}
    assert (options.cluster_name, options.aws_region, options.aws_vpc_id) == ("c", "us-west-2", "vpc-1")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("missing", range(3))
def test_what_cannot_be_discovered_must_be_given(template: Callable[..., process.Completed], missing: int) -> None:
    done = template(CHART, *(value for number, value in enumerate(NEEDED) if number != missing))
    assert done.status != 0
    assert f"{NEEDED[missing].partition('=')[0]} is required" in done.stderr


def test_webhooks_and_service_have_one_certificate_authority(template: Callable[..., process.Completed]) -> None:
    rendered = [obj for obj in yaml.safe_load_all(template(CHART, *NEEDED).stdout) if obj]
    secret = next(obj for obj in rendered if obj["kind"] == "Secret")
    hooks = [hook for obj in rendered for hook in obj.get("webhooks", ())]
    assert {hook["clientConfig"]["caBundle"] for hook in hooks} == {secret["data"]["ca.crt"]}
    names = {hook["clientConfig"]["service"]["name"] for hook in hooks}
    assert names == {"aws-load-balancer-webhook-service"}
    assert {hook["clientConfig"]["service"]["path"] for hook in hooks} == {
        "/mutate-v1-pod",
        "/validate-networking-v1-ingress",
    }


def test_custom_resources_have_the_real_names(template: Callable[..., process.Completed]) -> None:
    rendered = [obj for obj in yaml.safe_load_all(template(CHART, *NEEDED).stdout) if obj]
    names = {obj["metadata"]["name"] for obj in rendered if obj["kind"] == "CustomResourceDefinition"}
    assert names == {"targetgroupbindings.elbv2.k8s.aws", "ingressclassparams.elbv2.k8s.aws"}


def test_least_privilege(objects: dict[str, dict[str, Any]]) -> None:
    words = {word for rule in objects["ClusterRole"]["rules"] for word in [*rule["verbs"], *rule["resources"]]}
    assert not words & {"*", "secrets", "update"}


def test_hardened(objects: dict[str, dict[str, Any]]) -> None:
    assert objects["Deployment"]["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container(objects)["securityContext"]["readOnlyRootFilesystem"] is True
    assert container(objects)["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_two_replicas_have_a_budget(render: Render) -> None:
    objects = render(CHART, *NEEDED, "replicaCount=2", 'podDisruptionBudget={"maxUnavailable":1}')
    assert objects["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_the_image_has_what_the_chart_mounts(objects: dict[str, dict[str, Any]]) -> None:
    (mount,) = container(objects)["volumeMounts"]
    default = flags(shlex.split("--cluster-name=c --aws-region=r --aws-vpc-id=v")).webhook_cert_dir
    assert mount["mountPath"] == str(default)
