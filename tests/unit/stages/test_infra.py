from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from chaosctl import events
from chaosctl.adapters import acm, existing, inventory
from chaosctl.adapters.aws import AwsRefused
from chaosctl.adapters.inventory import Leftover
from chaosctl.adapters.terraform import Applied, Plan, TerraformFailed
from chaosctl.adapters.terraform_messages import Changes, PlannedChange
from chaosctl.config import InfraSettings, Settings
from chaosctl.errors import PreconditionFailed
from chaosctl.stages import infra, sweep
from chaosctl.stages.stage import Context
from chaosctl.target import Target
from chaosctl.toolbox import providers

OURS = {
    "arn": "arn:aws:eks:eu-west-1:1:cluster/chaotic-backend-cluster",
    "status": "ACTIVE",
    "tags": {"chaosctl:cluster": "chaotic-backend-cluster", "chaosctl:environment": "default"},
}


def refused(code: str) -> AwsRefused:
    error = AwsRefused("AWS refused a request", code="AWS-REFUSED", why=code)
    error.aws_code = code
    return error


@dataclass
class FakeAws:
    """An account: its state bucket's mark (None: no bucket), and its cluster (None: none) with its node groups."""

    mark: str | None = None
    lock: str = ""
    cluster_data: dict[str, Any] | None = None
    groups: list[str] = field(default_factory=list)
    nodes: int = 2
    asked: list[str] = field(default_factory=list)
    released: list[str] = field(default_factory=list)

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        self.asked.append(operation)
        return getattr(self, operation)(**arguments)

    def get_object(self, Bucket: str, Key: str) -> Any:
        if self.mark is None:
            raise refused("NoSuchBucket")
        content = self.lock if Key.endswith(".tflock") else self.mark
        if not content:
            raise refused("NoSuchKey")
        return {"Body": BytesIO(content.encode())}

    def describe_cluster(self, name: str) -> Any:
        if self.cluster_data is None:
            raise refused("ResourceNotFoundException")
        return {"cluster": self.cluster_data}

    def update_cluster_config(self, name: str, deletionProtection: bool) -> None:
        assert self.cluster_data is not None
        self.cluster_data["deletionProtection"] = deletionProtection

    def delete_nodegroup(self, clusterName: str, nodegroupName: str) -> None:
        self.groups.remove(nodegroupName)

    def delete_cluster(self, name: str) -> None:
        self.cluster_data = None

    def release_address(self, AllocationId: str) -> None:
        self.released.append(AllocationId)

    def describe_nodegroup(self, clusterName: str, nodegroupName: str) -> Any:
        sizes = {"minSize": 2, "maxSize": 4, "desiredSize": self.nodes}
        return {"nodegroup": {"status": "ACTIVE", "tags": OURS["tags"], "scalingConfig": sizes}}

    def update_nodegroup_config(self, clusterName: str, nodegroupName: str, scalingConfig: dict[str, int]) -> Any:
        self.nodes = scalingConfig["desiredSize"]
        return {"update": {"id": "u", "status": "Successful"}}

    def describe_update(self, **_: str) -> Any:
        return {"update": {"id": "u", "status": "Successful"}}

    def pages(self, service: str, operation: str, key: str, **_: Any) -> list[Any]:
        return list(self.groups) if operation == "list_nodegroups" else []


@dataclass
class FakeTerraform:
    """A module: remembers what it was asked, and has `state`."""

    state: frozenset[str] = frozenset()
    settled: bool = True
    applied: list[Mapping[str, Any]] = field(default_factory=list)
    imported: list[Mapping[str, str]] = field(default_factory=list)
    backends: list[Mapping[str, str] | None] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    destroyed: int = 0
    failures: list[TerraformFailed] = field(default_factory=list)  # how the next applies end

    def init(self, backend: Mapping[str, str] | None = None) -> None:
        self.backends.append(backend)

    def recover(self) -> None:
        pass

    wait_for_orphan = recover

    def forget(self, addresses: Iterable[str]) -> None:
        self.forgotten = list(addresses)

    def apply(self, variables: Mapping[str, Any], imports: Mapping[str, str] | None = None) -> Applied:
        self.applied.append(variables)
        self.imported.append(imports or {})
        if self.failures:
            raise self.failures.pop()
        return Applied(Changes(added=1), {"vpc_id": "vpc-1"})

    def plan(self, variables: Mapping[str, Any]) -> Plan:
        created = [PlannedChange("aws_vpc.main", "create"), PlannedChange("aws_eip.nat", "create")]
        return Plan(tuple(created), (), Changes())

    def known(self) -> frozenset[str]:
        return self.state

    def destroy(self, variables: Mapping[str, Any]) -> Changes:
        self.destroyed += 1
        return Changes(removed=len(self.state))


@dataclass
class World:
    aws: FakeAws
    main: FakeTerraform
    bootstrap: FakeTerraform
    context: Context


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    target = Target("here", "eu-west-1", {}, {}, "bucket", {"public_access_cidrs": ["127.0.0.0/8"]})
    context = Context(Settings(), target, events.ignore, lambda *names: {}, tmp_path)
    world = World(FakeAws(), FakeTerraform(), FakeTerraform(), context)
    monkeypatch.setattr(Context, "aws", world.aws)
    monkeypatch.setattr(acm, "served", lambda aws, tags: [])
    monkeypatch.setattr(
        infra,
        "_terraform",
        lambda context, sources, directory: world.bootstrap if sources.name == "bootstrap" else world.main,
    )
    return world


def with_infra(context: Context, target: Target | None = None, **changes: Any) -> Context:
    return Context(
        Settings(infra=InfraSettings(**changes)),
        target or context.target,
        events.ignore,
        context.ensure_tools,
        context.workdir,
    )


def test_variables_are_the_settings_and_the_targets(world: World) -> None:
    wanted = infra.variables(world.context)
    assert wanted["region"] == "eu-west-1" and wanted["az_count"] == 2
    assert wanted["cluster_name"] == "chaotic-backend-cluster" and wanted["environment"] == "default"
    assert wanted["public_access_cidrs"] == ["127.0.0.0/8"]
    assert "deletion_protection" not in wanted


def test_cidrs_of_the_settings_come_before_the_targets(world: World) -> None:
    context = with_infra(world.context, public_access_cidrs=["203.0.113.7/32"])
    assert infra.variables(context)["public_access_cidrs"] == ["203.0.113.7/32"]


def test_without_cidrs_it_is_said_what_to_set(world: World) -> None:
    context = with_infra(world.context, Target("aws", "eu-west-1", {}, {}, "bucket"))
    with pytest.raises(PreconditionFailed) as caught:
        infra.Infra().run(context)
    assert caught.value.code == "INFRA-NO-CIDRS" and "public_access_cidrs" in caught.value.remedy
    assert world.aws.asked == []


def test_the_bucket_is_made_when_there_is_none(world: World) -> None:
    assert infra.ensure_state_bucket(world.context)
    assert world.bootstrap.applied[0]["bucket"] == "bucket" and not world.bootstrap.applied[0]["adopt"]


def test_a_bucket_without_its_mark_is_adopted(world: World) -> None:
    world.aws.mark = ""
    assert infra.ensure_state_bucket(world.context)
    assert world.bootstrap.applied[0]["adopt"]


def test_a_bucket_of_another_version_is_completed(world: World) -> None:
    world.aws.mark = "of last year"
    assert infra.ensure_state_bucket(world.context)
    assert world.bootstrap.applied[0]["adopt"]


def test_a_complete_bucket_costs_one_request(world: World) -> None:
    infra.ensure_state_bucket(world.context)
    world.aws.mark, world.aws.asked = world.bootstrap.applied[0]["digest"], []
    assert not infra.ensure_state_bucket(world.context)
    assert world.aws.asked == ["get_object"] and len(world.bootstrap.applied) == 1


def test_each_environment_has_its_own_state(world: World) -> None:
    infra.Infra().run(world.context)
    assert world.main.backends == [{"bucket": "bucket", "key": "default/terraform.tfstate", "region": "eu-west-1"}]


def test_the_result_has_changes_and_outputs(world: World) -> None:
    result = infra.Infra().run(world.context)
    assert result.changed and result.details["outputs"] == {"vpc_id": "vpc-1"}


def test_deletion_protection_follows_the_settings(world: World) -> None:
    world.aws.cluster_data = {"deletionProtection": False}
    infra.Infra().run(with_infra(world.context, deletion_protection=True))
    assert world.aws.cluster_data == {"deletionProtection": True}


def test_the_number_of_nodes_follows_the_settings_before_terraform_is_applied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.aws.cluster_data, world.aws.groups = dict(OURS), ["main"]
    seen: list[int] = []
    applied = world.main.apply

    def apply(*given: Any) -> Applied:
        seen.append(world.aws.nodes)
        return applied(*given)

    monkeypatch.setattr(world.main, "apply", apply)
    result = infra.Infra().run(with_infra(world.context, node_desired_size=3))
    assert seen == [3] and "another number of nodes" in result.summary


def test_destroy_clears_protection_then_removes_nodes_cluster_and_the_rest(world: World) -> None:
    world.aws.mark, world.aws.groups = "any", ["main"]
    world.aws.cluster_data = {"deletionProtection": True, **OURS}
    world.main.state = frozenset({"vpc-1"})
    assert infra.destroy_infra(world.context).terraform == Changes(removed=1)
    changing = [operation for operation in world.aws.asked if not operation.startswith(("get", "describe"))]
    assert changing == ["update_cluster_config", "delete_nodegroup", "delete_cluster"]


def test_destroy_without_a_bucket_has_nothing_to_do(world: World) -> None:
    assert not infra.destroy_infra(world.context)
    assert world.main.backends == []


def test_destroy_of_an_empty_state_has_nothing_to_do(world: World) -> None:
    world.aws.mark = "any"
    assert not infra.destroy_infra(world.context)
    assert world.main.destroyed == 0


def test_destroy_of_an_empty_state_gets_rid_of_the_lock_that_a_killed_run_left(world: World) -> None:
    world.aws.mark, world.aws.lock = "any", '{"ID": "1"}'
    infra.destroy_infra(world.context)
    assert world.main.destroyed == 1


def test_what_fails_ahead_of_terraform_is_left_to_terraform(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.aws.mark, world.aws.cluster_data, world.main.state = "any", dict(OURS), frozenset({"vpc-1"})
    monkeypatch.setattr(sweep, "SLOW_PATIENCE", 0.1)
    monkeypatch.setattr(sweep, "PAUSE", 0.01)

    def fail(name: str) -> None:
        raise refused("ResourceInUseException")

    monkeypatch.setattr(world.aws, "delete_cluster", fail)
    infra.destroy_infra(world.context)
    assert world.main.destroyed == 1


def test_a_cluster_that_is_not_ours_is_left_to_terraform(world: World) -> None:
    world.aws.mark, world.main.state = "any", frozenset({"vpc-1"})
    world.aws.cluster_data = {**OURS, "tags": {"chaosctl:environment": "another"}}
    infra.destroy_infra(world.context)
    assert "delete_cluster" not in world.aws.asked


def test_after_a_good_end_nothing_is_looked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(existing, "found", lambda *_: pytest.fail("asked"))
    infra.Infra().run(world.context)
    assert world.main.imported == [{}]


def test_what_a_killed_run_made_is_imported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.main.settled = False
    monkeypatch.setattr(existing, "found", lambda *_: {"aws_vpc.main": "vpc-1", "aws_subnet.gone": "subnet-1"})
    monkeypatch.setattr(existing, "changing", lambda *_: "")
    infra.Infra().run(world.context)
    assert world.main.imported == [{"aws_vpc.main": "vpc-1"}]
    assert world.main.forgotten == ["aws_vpc.main"]


def failure(path: Path) -> TerraformFailed:
    return TerraformFailed("apply", [], "InvalidPermission.NotFound: the rule does not exist", path)


def test_what_a_killed_run_still_had_under_way_costs_one_more_try(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world.main.settled, world.main.failures = False, [failure(tmp_path)]
    monkeypatch.setattr(existing, "found", lambda *_: {"aws_vpc.main": "vpc-1"})
    monkeypatch.setattr(existing, "changing", lambda *_: "")
    assert infra.Infra().run(world.context).changed
    assert world.main.imported == [{"aws_vpc.main": "vpc-1"}] * 2


def test_an_ordinary_failure_is_told_at_once(world: World, tmp_path: Path) -> None:
    world.main.failures = [failure(tmp_path)]
    with pytest.raises(TerraformFailed):
        infra.Infra().run(world.context)
    assert len(world.main.imported) == 1


def test_what_only_a_killed_run_knew_is_deleted_before_terraform_destroys(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.aws.mark, world.main.state, world.main.settled = "any", frozenset({"vpc-1"}), False
    left = [Leftover("VPC", "vpc-1"), Leftover("Elastic IP", "eipalloc-1"), Leftover("network interface", "eni-1")]
    monkeypatch.setattr(inventory, "leftovers", lambda *_: [x for x in left if x.id not in world.aws.released])
    assert infra.destroy_infra(world.context).requested == 1
    assert world.aws.released == ["eipalloc-1"]


def test_what_no_state_tells_of_has_been_there_all_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before Terraform stored its state for the first time: nothing but the lock is in the bucket."""
    world.aws.mark, world.aws.lock, world.main.settled = "any", '{"ID": "1"}', False
    monkeypatch.setattr(world.main, "destroy", lambda variables: Changes())
    left = [Leftover("Elastic IP", "eipalloc-1")]
    monkeypatch.setattr(inventory, "leftovers", lambda *_: [x for x in left if x.id not in world.aws.released])
    went = infra.destroy_infra(world.context)
    assert went and str(went) == "1 things deleted that Terraform did not know of"


def test_terraform_carries_the_marks_of_its_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(infra, "Terraform", lambda *_, **options: given.update(options))
    monkeypatch.setattr(providers, "cli_config", lambda workdir: workdir)
    target = Target("here", "eu-west-1", {"AWS_REGION": "eu-west-1"}, {}, "bucket", marks={"GUEST_OF": "here"})
    infra._terraform(
        Context(Settings(), target, events.ignore, lambda *names: dict.fromkeys(names, tmp_path), tmp_path),
        tmp_path,
        tmp_path,
    )
    assert given["env"] == {"AWS_REGION": "eu-west-1", "GUEST_OF": "here"}


def test_of_an_environment_that_is_gone_only_journals_stay(tmp_path: Path) -> None:
    for name in (
        "terraform/data/file",
        "bootstrap/module/main.tf",
        "plan/last.jsonl",
        "plan-module/main.tf",
        "chaos/run",
    ):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    for name in ("terraform.tfrc", "kubeconfig", "token"):
        (tmp_path / name).touch()
    infra.forget(tmp_path)
    infra.forget(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["chaos"]
