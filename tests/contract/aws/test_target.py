"""The target `aws` as a user runs it, against the lab's AWS by its endpoint: all that comes before something is made.

tests/lab/test_targets.py goes on where reconcilers are needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaosctl import __main__ as program
from chaosctl import places
from chaosctl.stages import controller
from tests.contract.aws.conftest import OWN_TRUST, Lab
from tests.contract.mirrors import chart_repository
from tests.unit.cli.json_schema import mistakes

ACCOUNT = "123456789012"
Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def user(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user whose AWS is the lab's, with keys in the environment and nothing else."""
    monkeypatch.chdir(tmp_path)
    given = {
        "AWS_ENDPOINT_URL": lab.url,
        "AWS_ACCESS_KEY_ID": lab.key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": lab.key["SecretAccessKey"],
        "AWS_CONFIG_FILE": str(tmp_path / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "CHAOSCTL_TARGET": "aws",
        "CHAOSCTL_INFRA__PUBLIC_ACCESS_CIDRS": '["203.0.113.7/32"]',
        "CHAOSCTL_STATE_DIR": str(tmp_path / "state"),
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def run(user: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def chaosctl(*words: str) -> tuple[int, Any]:
        status = program.run([*words, "--json"])
        told = json.loads(capsys.readouterr().out)
        assert mistakes(told) == []
        return status, told.get("result") or told["error"]

    return chaosctl


def test_another_account_is_refused_before_anything_is_asked_of_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOSCTL_ACCOUNT_ID", "999999999999")
    for command in ("up", "infra", "down", "plan", "status"):
        status, error = run(command, "--yes")
        assert (status, error["code"]) == (3, "AWS-WRONG-ACCOUNT"), command


def test_the_pinned_account_is_let_through(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOSCTL_ACCOUNT_ID", ACCOUNT)
    status, found = run("status")
    assert (status, found["cluster"], found["remains"]) == (0, None, [])


@pytest.mark.parametrize("command", ["up", "infra", "down"])
def test_what_costs_money_or_destroys_needs_a_yes(run: Run, lab: Lab, command: str) -> None:
    status, error = run(command)
    assert (status, error["code"]) == (2, "CONFIRMATION-NEEDED")
    assert lab.operator("s3").list_buckets()["Buckets"] == []
    if command != "down":
        assert re.search(rf"the AWS account {ACCOUNT} about \$\d+ a month", error["why"])


def test_doctor_says_who_we_are_and_that_no_account_is_pinned(run: Run) -> None:
    _, found = run("doctor")
    levels = {f["check"]: f["level"] for f in found["findings"]}
    assert (levels["credentials"], levels["account pinned"]) == ("ok", "warning")


def test_environments_have_clusters_of_their_own(run: Run, lab: Lab, make_cluster: Callable[..., Any]) -> None:
    make_cluster("chaotic-backend-cluster")
    assert run("status")[1]["cluster"]["name"] == "chaotic-backend-cluster"
    assert run("status", "--env", "staging")[1]["cluster"] is None


def test_a_profile_in_the_settings_goes_before_keys_in_the_environment(
    run: Run, user: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.operator("iam").create_role(RoleName="deployer", AssumeRolePolicyDocument=json.dumps(OWN_TRUST))
    keys = f"aws_access_key_id = {lab.key['AccessKeyId']}\naws_secret_access_key = {lab.key['SecretAccessKey']}\n"
    (user / "aws-credentials").write_text(f"[me]\n{keys}")
    (user / "aws-config").write_text(
        f"[profile deploy]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/deployer\nsource_profile = me\n"
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY")
    (user / "chaosctl.toml").write_text('profile = "deploy"\n')
    _, found = run("doctor")
    told = next(f for f in found["findings"] if f["check"] == "credentials")
    assert told["level"] == "ok"
    assert "assumed-role/deployer" in told["what"]


def test_a_profile_that_does_not_exist(run: Run, user: Path) -> None:
    (user / "chaosctl.toml").write_text('profile = "nobody"\n')
    status, error = run("plan")
    assert (status, error["code"]) == (3, "AWS-NO-CREDENTIALS")


def test_plan_shows_all_of_it_and_makes_nothing(
    run: Run, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The controller's chart comes from a repository of the settings, the images of both from a registry."""
    (tmp_path / "charts").mkdir()
    stand_in = places.asset("helm") / f"{controller.RELEASE}-lab"
    monkeypatch.setenv("CHAOSCTL_MIRRORS__IMAGES", "registry.example/proxy")
    with chart_repository(tmp_path / "charts", {controller.RELEASE: stand_in}) as url:
        monkeypatch.setenv("CHAOSCTL_MIRRORS__CHARTS", url)
        status, found = run("plan")
    assert status == 9
    assert {"aws_eks_cluster.main", "aws_vpc.main"} <= {r["address"] for r in found["terraform"]}
    assert found["cost"]["before"] == 0 < found["cost"]["after"]
    assert lab.operator("s3").list_buckets()["Buckets"] == []
