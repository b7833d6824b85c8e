"""`infra` with the options by which it makes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from chaosctl.adapters.aws import Aws
from chaosctl.cli import compose
from chaosctl.config import Settings
from chaosctl.stages.infra import Infra
from chaosctl.stages.stage import Context
from chaosctl.target import Target
from tests.unit.cli.conftest import Inside
from tests.unit.cli.json_schema import mistakes

ENV = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}
LOCK = {"ID": "4a", "Operation": "OperationTypeApply", "Who": "ci@runner-7", "Created": "2026-11-23T16:40:53.62064812Z"}
KEY = "default/terraform.tfstate.tflock"


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """An account that somebody pays for, whose state is locked; making anything in it is a failure."""
    with mock_aws():
        made = Aws(ENV, "us-west-2")
        where = {"LocationConstraint": "us-west-2"}
        made.call("s3", "create_bucket", Bucket="state", CreateBucketConfiguration=where)
        made.call("s3", "put_object", Bucket="state", Key=KEY, Body=json.dumps(LOCK).encode())
        variables = {"public_access_cidrs": ["203.0.113.7/32"]}
        target = Target("t", "us-west-2", ENV, {}, "state", variables, billed_to="123456789012")
        work = tmp_path / "work"
        work.mkdir()

        def opened(settings: Settings, emit: Any, **_: Any) -> Context:
            return Context(settings, target, emit, lambda *names: {}, work)

        monkeypatch.setattr(compose, "open_context", opened)
        monkeypatch.setattr(Infra, "run", lambda *_: pytest.fail("something was made"))
        yield made


def locks(aws: Aws) -> list[str]:
    return [item["Key"] for item in aws.pages("s3", "list_objects_v2", "Contents", Bucket="state")]


def test_a_lock_goes_with_consent_only(inside: Inside, aws: Aws) -> None:
    asked = inside.run("infra", "--unlock", "4a")
    assert asked.returncode == 2
    assert "CONFIRMATION-NEEDED" in asked.stderr and "ci@runner-7" in asked.stderr
    assert locks(aws) == [KEY]
    done = inside.run("infra", "--unlock", "4a", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert mistakes(told) == [] and told["result"]["unlocked"] == "4a"
    assert locks(aws) == []


def test_another_lock_stays(inside: Inside, aws: Aws) -> None:
    done = inside.run("infra", "--unlock", "5b", "--yes")
    assert done.returncode == 2
    assert "LOCK-UNKNOWN" in done.stderr and "lock 4a" in done.stderr
    assert locks(aws) == [KEY]


def test_letting_in_asks_nothing_and_makes_nothing(inside: Inside, aws: Aws) -> None:
    done = inside.run("infra", "--only-access", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert mistakes(told) == []
    assert (told["result"]["changed"], told["result"]["changes"]["added"]) == (False, 0)


def test_both_at_once_make_no_sense(inside: Inside, aws: Aws) -> None:
    assert inside.run("infra", "--only-access", "--unlock", "4a").returncode == 2
