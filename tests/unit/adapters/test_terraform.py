"""The adapter against a stand-in for terraform that writes down how it was called and answers as it is told."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from chaosctl.adapters import terraform_lock
from chaosctl.adapters.terraform import Terraform, TerraformFailed, TerraformLocked
from chaosctl.adapters.terraform_messages import Changes
from chaosctl.events import Event, ResourceProgress, Step
from tests.unit.adapters.test_terraform_lock import DETAIL

FAKE = f"""#!{sys.executable}
import json, os, pathlib, sys
home = pathlib.Path(__file__).parent
with open(home / "calls.jsonl", "a") as calls:
    env = {{k: v for k, v in os.environ.items() if k.startswith(("TF_", "AWS_"))}}
    calls.write(json.dumps({{"argv": sys.argv[1:], "cwd": os.getcwd(), "env": env}}) + "\\n")
if sys.argv[1] == "init":
    plugin = pathlib.Path(os.environ["TF_DATA_DIR"], "providers/registry/hashicorp/aws/5.100.0/linux_amd64/plugin")
    plugin.parent.mkdir(parents=True, exist_ok=True)
    plugin.touch()
answers = home / (sys.argv[1] + ".answers")
if answers.exists():
    first, *rest = answers.read_text().splitlines()
    answers.write_text("\\n".join(rest or [first]))
    answer = json.loads(first)
    print("\\n".join(answer["lines"]))
    sys.exit(answer["status"])
"""


class World:
    """A module, a fake terraform, and the adapter over both."""

    def __init__(self, home: Path) -> None:
        self.home, self.events = home, list[Event]()
        self.sources, self.directory = home / "sources", home / "private"
        for name in ("main.tf", "tests/x.tftest.hcl", "bootstrap/b.tf", "policies/p.json.tftpl", ".terraform.lock.hcl"):
            (self.sources / name).parent.mkdir(parents=True, exist_ok=True)
            (self.sources / name).write_text(f"# {name}\n")
        program = home / "terraform"
        program.write_text(FAKE)
        program.chmod(stat.S_IRWXU)
        self.terraform = self.open()

    def open(self) -> Terraform:
        return Terraform(
            self.home / "terraform",
            self.sources,
            self.directory,
            cli_config=self.home / "terraform.tfrc",
            env={"AWS_REGION": "us-west-2"},
            emit=self.events.append,
        )

    def answer(self, command: str, *answers: tuple[int, list[dict[str, Any]]]) -> None:
        text = [json.dumps({"status": s, "lines": [json.dumps(m) for m in lines]}) for s, lines in answers]
        (self.home / f"{command}.answers").write_text("\n".join(text))

    def calls(self) -> list[dict[str, Any]]:
        file = self.home / "calls.jsonl"
        return [json.loads(each) for each in file.read_text().splitlines()] if file.exists() else []

    def commands(self) -> list[str]:
        return [call["argv"][0] for call in self.calls()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def error(summary: str, detail: str = "", address: str = "") -> dict[str, Any]:
    return {
        "type": "diagnostic",
        "diagnostic": {"severity": "error", "summary": summary, "detail": detail, "address": address},
    }


DONE = {"type": "change_summary", "changes": {"add": 1, "change": 0, "remove": 0, "operation": "apply"}}
LOCKED = error("Error acquiring the state lock", DETAIL)


def test_init_works_on_a_copy_without_tests_and_other_modules(world: World) -> None:
    world.terraform.init()
    copy = world.directory / "module"
    assert Path(world.calls()[0]["cwd"]) == copy
    found = sorted(str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file())
    assert found == [".terraform.lock.hcl", "main.tf", "policies/p.json.tftpl"]


def test_init_tells_the_backend_and_leaves_the_lock_file_alone(world: World) -> None:
    world.terraform.init({"bucket": "b", "key": "k"})
    argv = world.calls()[0]["argv"]
    assert {"-backend-config=bucket=b", "-backend-config=key=k", "-lockfile=readonly", "-input=false"} <= set(argv)


def test_a_second_init_with_the_same_of_everything_does_nothing(world: World) -> None:
    world.terraform.init({"bucket": "b"})
    world.open().init({"bucket": "b"})
    assert world.commands() == ["init"]


def test_another_backend_or_another_module_is_initialised_again(world: World) -> None:
    world.terraform.init({"bucket": "b"})
    world.terraform.init({"bucket": "c"})
    (world.sources / "main.tf").write_text("# changed\n")
    world.terraform.init({"bucket": "c"})
    assert world.commands() == ["init"] * 3
    assert (world.directory / "module/main.tf").read_text() == "# changed\n"


def test_a_file_that_left_the_module_leaves_the_copy(world: World) -> None:
    (world.sources / "old.tf").touch()
    world.terraform.init()
    (world.sources / "old.tf").unlink()
    world.terraform.init()
    assert not (world.directory / "module/old.tf").exists()


def test_a_failed_init_is_tried_again_the_next_time(world: World) -> None:
    world.answer("init", (1, [error("no network")]), (0, []))
    with pytest.raises(TerraformFailed):
        world.terraform.init()
    world.terraform.init()
    assert world.commands() == ["init", "init"]


def test_variables_are_in_a_private_file_and_not_in_argv(world: World) -> None:
    world.answer("apply", (0, [DONE]))
    world.terraform.init()
    world.terraform.apply({"cluster_name": "very-secret"})
    assert "very-secret" not in json.dumps(world.calls())
    file = world.directory / "variables.tfvars.json"
    assert json.loads(file.read_text()) == {"cluster_name": "very-secret"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_apply_streams_and_returns_what_changed(world: World) -> None:
    hook = {"resource": {"addr": "aws_vpc.main"}, "action": "create", "elapsed_seconds": 3}
    outputs = {"vpc_id": {"sensitive": False, "type": "string", "value": "vpc-1"}}
    world.answer(
        "apply", (0, [{"type": "apply_complete", "hook": hook}, DONE, {"type": "outputs", "outputs": outputs}])
    )
    world.terraform.init()
    applied = world.terraform.apply({})
    assert ResourceProgress("aws_vpc.main", "create", "done", 3.0) in world.events
    assert (applied.changes, applied.outputs) == (Changes(added=1), {"vpc_id": "vpc-1"})


def test_the_users_terraform_settings_do_not_reach_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/nowhere/terraformrc")
    monkeypatch.setenv("TF_CLI_ARGS_apply", "-destroy")
    monkeypatch.setenv("TF_WORKSPACE", "other")
    monkeypatch.setenv("TF_VAR_container_insights", "false")
    world.open().init()
    env = world.calls()[0]["env"]
    assert env["TF_CLI_CONFIG_FILE"] == str(world.home / "terraform.tfrc")
    assert env["TF_CLI_ARGS_apply"] == env["TF_WORKSPACE"] == ""
    assert "TF_VAR_container_insights" not in env  # an empty one would be a value
    assert (env["TF_IN_AUTOMATION"], env["AWS_REGION"]) == ("1", "us-west-2")


def test_an_error_carries_resource_and_aws_code_and_a_remedy(world: World) -> None:
    text = "creating EC2 VPC: operation error EC2: CreateVpc, StatusCode: 400, api error VpcLimitExceeded: too many"
    world.answer("apply", (1, [error(text, address="aws_vpc.main")]))
    world.terraform.init()
    with pytest.raises(TerraformFailed) as caught:
        world.terraform.apply({})
    assert caught.value.aws_code == "VpcLimitExceeded"
    assert caught.value.why.startswith("aws_vpc.main: creating EC2 VPC")
    assert "L-F678F1CE" in caught.value.remedy


def test_a_crash_without_diagnostics_shows_what_it_printed(world: World) -> None:
    (world.home / "apply.answers").write_text(json.dumps({"status": 2, "lines": ["panic: oh"]}))
    world.terraform.init()
    with pytest.raises(TerraformFailed, match="terraform apply failed") as caught:
        world.terraform.apply({})
    assert "panic: oh" in caught.value.why


def test_a_lock_held_elsewhere_says_who_and_since_when(world: World) -> None:
    world.answer("apply", (1, [LOCKED]))
    world.terraform.init()
    with pytest.raises(TerraformLocked) as caught:
        world.terraform.apply({})
    assert "root@builder (OperationTypeApply) since 2026-11-23 16:40:53 UTC" in caught.value.why
    assert "force-unlock" not in world.commands()


def test_a_stale_lock_is_removed_and_the_command_run_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform_lock, "is_stale", lambda lock, runs, data: True)
    world.answer("apply", (1, [LOCKED]), (0, [DONE]))
    world.terraform.init()
    assert world.terraform.apply({}).changes == Changes(added=1)
    assert world.commands() == ["init", "apply", "force-unlock", "apply"]
    assert world.calls()[2]["argv"] == ["force-unlock", "-force", "9db590f1-b6fe-c5f2-2678-8804f089deba"]


def test_a_state_that_could_not_be_stored_is_stored_first(world: World) -> None:
    world.answer("apply", (0, [DONE]))
    world.terraform.init()
    errored = world.directory / "module/errored.tfstate"
    errored.write_text("{}")
    world.terraform.apply({})
    assert [call["argv"][:2] for call in world.calls()][1] == ["state", "push"]
    assert not errored.exists() and Step("storing the state that an earlier run could not store") in world.events


def test_every_run_is_written_down_before_it_begins(world: World) -> None:
    world.terraform.init()
    assert terraform_lock.Runs(world.directory / "runs.jsonl").read()[-1].pid == os.getpid()


def test_outputs_and_ids_are_read(world: World) -> None:
    outputs = {"region": {"sensitive": False, "type": "string", "value": "us-west-2"}}
    (world.home / "output.answers").write_text(json.dumps({"status": 0, "lines": [json.dumps(outputs)]}))
    state = {
        "resources": [
            {"mode": "managed", "instances": [{"attributes": {"id": "vpc-1", "arn": "arn:vpc-1"}}]},
            {"mode": "data", "instances": [{"attributes": {"id": "us-west-2"}}]},
        ]
    }
    (world.home / "state.answers").write_text(json.dumps({"status": 0, "lines": [json.dumps(state)]}))
    world.terraform.init()
    assert world.terraform.outputs() == {"region": "us-west-2"}
    assert world.terraform.known() == {"vpc-1", "arn:vpc-1"}


def test_before_the_first_apply_nothing_is_known(world: World) -> None:
    world.terraform.init()
    assert world.terraform.known() == frozenset()
    assert not world.terraform.settled


@pytest.mark.parametrize(("status", "settled"), [(0, True), (1, True), (137, False)])
def test_it_is_settled_when_terraform_ended_by_itself(world: World, status: int, settled: bool) -> None:
    world.answer("apply", (0, [DONE]), (status, [DONE]))
    world.terraform.init()
    world.terraform.apply({})
    with contextlib.suppress(TerraformFailed):
        world.terraform.apply({})
    assert world.open().settled is settled


def test_imports_are_told_for_one_apply_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    adoption = world.directory / "module" / "adoption.tf"
    monkeypatch.setattr(Terraform, "recover", lambda _: seen.append(adoption.read_text()))
    world.answer("apply", (0, [DONE]))
    world.terraform.init()
    world.terraform.apply({}, {'aws_eip.nat["us-west-2a"]': "eipalloc-1"})
    assert seen == ['import {\n  to = aws_eip.nat["us-west-2a"]\n  id = "eipalloc-1"\n}\n']
    assert not adoption.exists()


def test_only_what_is_in_the_state_is_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.home / "state.answers").write_text(json.dumps({"status": 0, "lines": ["aws_vpc.main", "aws_eip.nat"]}))
    monkeypatch.setattr(Terraform, "known", lambda _: frozenset({"vpc-1"}))
    world.terraform.init()
    world.terraform.forget(["aws_vpc.main", "aws_subnet.new"])
    assert world.calls()[-1]["argv"] == ["state", "rm", "aws_vpc.main"]


def test_without_a_state_there_is_nothing_to_forget(world: World) -> None:
    world.terraform.init()
    world.terraform.forget(["aws_vpc.main"])
    assert [call["argv"] for call in world.calls()[1:]] == [["state", "pull"]]
