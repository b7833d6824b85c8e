"""Taking a lock away: the one that is named, and only when nobody here works with it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from moto import mock_aws

from chaosctl.adapters import terraform_lock
from chaosctl.adapters.aws import Aws
from chaosctl.config import Settings
from chaosctl.errors import Busy, UsageProblem
from chaosctl.events import ignore
from chaosctl.stages import locks
from chaosctl.stages.stage import Context
from chaosctl.target import Target

ENV = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}
MAIN, ALARMS = "default/terraform.tfstate.tflock", "default/alarms.tfstate.tflock"


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        made = Aws(ENV, "us-west-2")
        where = {"LocationConstraint": "us-west-2"}
        made.call("s3", "create_bucket", Bucket="state", CreateBucketConfiguration=where)
        yield made


@pytest.fixture
def context(aws: Aws, tmp_path: Path) -> Context:
    target = Target("test", "us-west-2", ENV, {}, "state")
    made = Context(Settings(), target, ignore, lambda *names: {}, tmp_path)
    made.__dict__["aws"] = aws
    return made


def lock(aws: Aws, key: str, identifier: str, who: str = "ci@runner-7") -> None:
    taken = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    said = {"ID": identifier, "Operation": "OperationTypeApply", "Who": who, "Created": taken}
    aws.call("s3", "put_object", Bucket="state", Key=key, Body=json.dumps(said).encode())


def keys(aws: Aws) -> list[str]:
    return [item["Key"] for item in aws.pages("s3", "list_objects_v2", "Contents", Bucket="state")]


@pytest.mark.parametrize(("identifier", "left"), [("4a", [ALARMS]), ("5b", [MAIN])])
def test_the_lock_that_is_named_goes_and_no_other(aws: Aws, context: Context, identifier: str, left: list[str]) -> None:
    lock(aws, MAIN, "4a")
    lock(aws, ALARMS, "5b")
    assert "ci@runner-7" in str(locks.remove(context, identifier).info)
    assert keys(aws) == left


def test_a_lock_that_is_not_there(aws: Aws, context: Context) -> None:
    lock(aws, MAIN, "4a")
    with pytest.raises(UsageProblem) as unknown:
        locks.remove(context, "another")
    assert unknown.value.code == "LOCK-UNKNOWN" and "default/terraform.tfstate: ci@runner-7" in unknown.value.why
    assert keys(aws) == [MAIN]


def test_what_works_on_this_machine_keeps_its_lock(aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    lock(aws, MAIN, "4a", who=f"ann@{socket.gethostname()}")
    monkeypatch.setattr(terraform_lock, "at_work", lambda data: [SimpleNamespace(pid=7)])
    with pytest.raises(Busy) as busy:
        locks.remove(context, "4a")
    assert busy.value.code == "LOCK-IN-USE" and "process 7" in busy.value.why
    assert keys(aws) == [MAIN]


def test_a_living_run_of_this_machine_keeps_its_lock(
    aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    terraform_lock.Runs(context.workdir / "alarms" / "runs.jsonl").begin()
    lock(aws, ALARMS, "5b", who=f"ann@{socket.gethostname()}")
    monkeypatch.setattr(terraform_lock.Run, "alive", property(lambda _: True))
    with pytest.raises(Busy):
        locks.remove(context, "5b")


def test_what_is_not_terraforms_is_told_and_stays(aws: Aws, context: Context) -> None:
    aws.call("s3", "put_object", Bucket="state", Key=MAIN, Body=b"mine")
    found: Any = list(locks.held(context, aws))
    assert [(held.state, held.info, held.stale) for held in found] == [("default/terraform.tfstate", None, False)]
    with pytest.raises(UsageProblem):
        locks.remove(context, "")
