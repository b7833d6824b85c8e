"""The two other targets, on the AWS and the cluster of a lab.

First `aws`, from nothing: its AWS is the lab's by AWS_ENDPOINT_URL, with keys in the environment; its chart and images
come from a repository and a registry on loopback. Then `context`: the same app as a deployment of somebody else's, by a
service account that may do what docs/context.md lists, and no AWS at all. These tests run in their order.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosctl import places
from chaosctl.config import ToolboxSettings
from chaosctl.events import ignore
from chaosctl.lab import images
from chaosctl.lab.layout import Layout
from chaosctl.toolbox import Toolbox
from tests.contract import mirrors
from tests.contract.mirrors import Registry
from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak]
CONTEXT, NAMESPACE = "chaotic-backend-cluster-aws", "chaotic-backend"
CONTROLLER, BACKEND = "eks/aws-load-balancer-controller", "lucasscrt/chaotic-backend"
SETTINGS = """\
account_id = "{account}"
[infra]
public_access_cidrs = ["127.0.0.0/8"]
[app]
values = "values.yaml"
[mirrors]
charts = "{charts}"
images = "http://{images}"
[lab]
upstream = true
"""
VALUES = "image: {pullPolicy: IfNotPresent}\n"  # the nodes of a lab have no way to a registry
ROOT = Path(__file__).resolve().parents[2]
DOCS, POLICY = ROOT / "docs" / "context.md", ROOT / "docs" / "deployer-policy.json"


@dataclass(frozen=True)
class AwsUser(User):
    """A user whose AWS is the lab's, by nothing but the variables that every AWS SDK knows."""

    variables: tuple[tuple[str, str], ...] = ()

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, **dict(self.variables), "CHAOSCTL_TARGET": "aws"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Registry]]:
    """The stand-ins, under the names that the real images have in a mirror."""
    layout = Layout(tmp_path_factory.mktemp("images"))
    tools = Toolbox(places.cache_dir(), ToolboxSettings(), ignore).ensure("coredns", "metrics-server")
    with mirrors.registry() as (address, served):
        names = {images.CONTROLLER: CONTROLLER, images.BACKEND: BACKEND}
        for archive in images.build(layout, tools):
            served.add(archive, {name.rpartition(":")[0]: path for name, path in names.items()})
        yield address, served


@pytest.fixture(scope="module")
def lab_user(
    newcomer: User, tmp_path_factory: pytest.TempPathFactory, registry: tuple[str, Registry]
) -> Iterator[User]:
    """Has started a lab that runs what the registry has."""
    repository = tmp_path_factory.mktemp("charts")
    chart = places.asset("helm") / "aws-load-balancer-controller-lab"
    with mirrors.chart_repository(repository, {"aws-load-balancer-controller": chart}) as url:
        settings = SETTINGS.format(account="123456789012", charts=url, images=registry[0])
        (newcomer.home / "chaosctl.toml").write_text(settings)
        (newcomer.home / "values.yaml").write_text(VALUES)
        newcomer.chaosctl("lab", "start")
        yield newcomer


@pytest.fixture(scope="module")
def user(lab_user: User) -> AwsUser:
    """The same user, who now means AWS, where they may do what docs/deployer-policy.json allows, and nothing else."""
    iam, name = lab_user.aws("iam"), "deployer"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=POLICY.read_text())
    key = iam.create_access_key(UserName=name)["AccessKey"]
    keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    told = re.findall(r"^export (AWS_\w+)=(\S+)$", lab_user.chaosctl("lab", "env").stdout, re.MULTILINE)
    kept = {"AWS_ENDPOINT_URL", "AWS_EC2_METADATA_DISABLED"}
    return AwsUser(lab_user.home, tuple({**{n: value for n, value in told if n in kept}, **keys}.items()))


@pytest.fixture(scope="module")
def deployed(user: AwsUser) -> Any:
    return user.json("up", "--yes")


def test_the_images_were_pulled_from_the_mirror(lab_user: User, registry: tuple[str, Registry]) -> None:
    assert {CONTROLLER, BACKEND} <= set(registry[1].pulled)


def test_nothing_is_made_without_consent(user: AwsUser) -> None:
    told = json.loads(user.chaosctl("up", "--json", status=2).stdout)
    assert told["error"]["code"] == "CONFIRMATION-NEEDED"


def test_up_on_aws_from_nothing(deployed: Any) -> None:
    assert deployed["stages"]["infra"]["changes"]["added"] > 40
    assert deployed["stand_ins"] == []
    assert deployed["context"] == CONTEXT


def test_pods_run_the_images_of_the_mirror(user: AwsUser, deployed: Any, registry: tuple[str, Registry]) -> None:
    listed = json.loads(user.run(user.tools["kubectl"], "--context", CONTEXT, "get", "pods", "-A", "-o", "json").stdout)
    running = {c["image"] for pod in listed["items"] for c in pod["spec"]["containers"]}
    assert {f"{registry[0]}/{CONTROLLER}:v3.5.0", f"{registry[0]}/{BACKEND}:latest"} <= running


def test_smoke_chaos_and_status_on_aws(user: AwsUser, deployed: Any) -> None:
    assert user.json("smoke")["passed"]
    assert user.json("chaos", "--kill-pods", "--seed", "7")["verdict"] == "PASS"
    assert user.json("status")["healthy"]


def test_a_second_up_asks_nothing_and_changes_nothing(user: AwsUser, deployed: Any) -> None:
    stages = user.json("up")["stages"]
    assert {name: stage["changed"] for name, stage in stages.items()} == dict.fromkeys(stages, False)


@pytest.fixture(scope="module")
def elsewhere(user: AwsUser, deployed: Any) -> User:
    """A user without AWS: a kubeconfig with the token of a service account, and the URL."""
    kubectl = (user.tools["kubectl"], "--context", CONTEXT)
    text = "\n".join(re.findall(r"^```yaml\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL))
    rights = [o for o in yaml.safe_load_all(text.replace("shop", NAMESPACE)) if o]
    account = {"kind": "ServiceAccount", "name": "breaker", "namespace": NAMESPACE}
    bindings = [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": f"{right['kind']}Binding",
            "metadata": {**right["metadata"], "name": f"breaker-{right['metadata']['name']}"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": right["kind"],
                "name": right["metadata"]["name"],
            },
            "subjects": [account],
        }
        for right in rights
    ]
    manifest = user.home / "rights.json"
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*rights, *bindings]}))
    user.run(*kubectl, "-n", NAMESPACE, "create", "serviceaccount", "breaker")
    user.run(*kubectl, "apply", "-f", str(manifest))
    token = user.run(*kubectl, "-n", NAMESPACE, "create", "token", "breaker").stdout.strip()
    known = yaml.safe_load(user.kubeconfig.read_text())
    cluster = next(c["cluster"] for c in known["clusters"] if c["name"] == CONTEXT)
    other = User(user.home / "elsewhere")
    other.home.mkdir()
    other.kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "breaker", "user": {"token": token}}],
                "contexts": [{"name": "theirs", "context": {"cluster": "c", "user": "breaker"}}],
            }
        )
    )
    os.chmod(other.kubeconfig, 0o600)  # noqa: PTH101
    return other


def test_smoke_and_chaos_on_a_plain_context(elsewhere: User) -> None:
    assert elsewhere.chaosctl("smoke", "--context", "theirs").returncode == 0
    assert elsewhere.json("doctor", "--context", "theirs")["counts"]["problem"] == 0
    result = elsewhere.json("chaos", "--kill-pods", "--context", "theirs", "--seed", "3")
    assert result["verdict"] == "PASS", result["reasons"]
    assert result["clocks"]["targets"] is None
    assert len(elsewhere.json("status", "--context", "theirs")["pods"]) == 3


def test_more_than_the_rights_allow_is_said(elsewhere: User) -> None:
    told = json.loads(
        elsewhere.chaosctl("chaos", "--fault", "scale", "--context", "theirs", "--json", status=None).stdout
    )
    assert not told["ok"]


def test_down_on_aws_leaves_nothing(user: AwsUser, deployed: Any) -> None:
    assert user.json("down", "--yes")["left"] == []
    assert user.json("status")["cluster"] is None
