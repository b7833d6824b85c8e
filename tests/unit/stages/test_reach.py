"""Letting a machine in changes the list of networks of a cluster that is there, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chaosctl.adapters import eks
from chaosctl.config import InfraSettings, Settings
from chaosctl.events import ignore
from chaosctl.stages.reach import Reach
from chaosctl.stages.stage import Context, StageResult
from chaosctl.target import Target
from tests.unit.stages.test_nodes import refused

HERE, OFFICE = "203.0.113.7/32", "192.0.2.0/24"


@dataclass
class Eks:
    """A cluster that lets in the office; None: no cluster."""

    status: str | None = "ACTIVE"
    public: bool = True
    asked: list[Any] = field(default_factory=list)

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        if operation == "describe_cluster":
            if self.status is None:
                raise refused("ResourceNotFoundException")
            config = {"endpointPublicAccess": self.public, "publicAccessCidrs": [OFFICE]}
            return {"cluster": {"status": self.status, "resourcesVpcConfig": config}}
        if operation == "update_cluster_config":
            self.asked.append(arguments["resourcesVpcConfig"])
        return {"update": {"id": "u", "status": "Successful"}}


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: Eks, *configured: str) -> StageResult:
    monkeypatch.setattr(Context, "aws", aws)
    monkeypatch.setattr(eks, "POLL_SECONDS", 0.001)
    target = Target("t", "us-west-2", {}, {}, "state", {"public_access_cidrs": [HERE]})
    settings = Settings(infra=InfraSettings(public_access_cidrs=list(configured)))
    return Reach().run(Context(settings, target, ignore, lambda *n: {}, tmp_path))


def test_this_machine_is_let_in_and_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Eks()
    assert run(tmp_path, monkeypatch, aws).changed
    assert aws.asked == [{"publicAccessCidrs": [OFFICE, HERE]}]


def test_who_is_let_in_already_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Eks()
    assert not run(tmp_path, monkeypatch, aws, OFFICE).changed
    assert aws.asked == []


@pytest.mark.parametrize("aws", [Eks(None), Eks("CREATING"), Eks("DELETING"), Eks("FAILED"), Eks(public=False)])
def test_without_a_cluster_to_reach_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: Eks) -> None:
    result = run(tmp_path, monkeypatch, aws)
    assert not result.changed and aws.asked == []
    assert result.details["changes"] == {"added": 0, "changed": 0, "removed": 0}
