"""The number of nodes follows the settings, in one request, before Terraform changes least and most."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chaosctl.adapters import eks
from chaosctl.adapters.aws import AwsRefused
from chaosctl.config import InfraSettings, Settings
from chaosctl.errors import StageFailed
from chaosctl.events import ignore
from chaosctl.stages import nodes
from chaosctl.stages.stage import Context
from chaosctl.target import Target

OURS = {"chaosctl:cluster": "chaotic-backend-cluster", "chaosctl:environment": "default"}


def refused(code: str) -> AwsRefused:
    error = AwsRefused("AWS refused a request", code="AWS-REFUSED", why=code)
    error.aws_code = code
    return error


@dataclass
class Eks:
    """A cluster with one node group; None: no cluster. An update takes two looks, and ends as `ends` says."""

    group: dict[str, Any] | None
    ends: str = "Successful"
    asked: list[dict[str, int]] = field(default_factory=list)
    looks: int = 0

    def pages(self, service: str, operation: str, key: str, **_: Any) -> list[str]:
        if self.group is None:
            raise refused("ResourceNotFoundException")
        return ["main"]

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        return getattr(self, operation)(**arguments)

    def describe_nodegroup(self, clusterName: str, nodegroupName: str) -> Any:
        return {"nodegroup": self.group}

    def update_nodegroup_config(self, clusterName: str, nodegroupName: str, scalingConfig: dict[str, int]) -> Any:
        assert self.group is not None
        if not scalingConfig["minSize"] <= scalingConfig["desiredSize"] <= scalingConfig["maxSize"]:
            raise refused("InvalidParameterException")
        self.asked.append(scalingConfig)
        self.group["scalingConfig"] = scalingConfig
        self.looks = 2
        return {"update": {"id": "u-1", "status": "InProgress"}}

    def describe_update(self, name: str, nodegroupName: str, updateId: str) -> Any:
        self.looks -= 1
        errors = [{"errorCode": "AccessDenied", "errorMessage": "no"}]
        done = {"status": self.ends, "errors": errors if self.ends == "Failed" else []}
        return {"update": done if self.looks <= 0 else {"status": "InProgress"}}


def group(least: int, most: int, desired: int, *, status: str = "ACTIVE", tags: Any = OURS) -> dict[str, Any]:
    return {"status": status, "tags": tags, "scalingConfig": sizes(least, most, desired)}


def sizes(least: int, most: int, desired: int) -> dict[str, int]:
    return {"minSize": least, "maxSize": most, "desiredSize": desired}


def resized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: Eks, **infra: Any) -> bool:
    monkeypatch.setattr(Context, "aws", aws)
    monkeypatch.setattr(eks, "POLL_SECONDS", 0.001)
    target = Target("test", "us-west-2", {}, {}, "state")
    return nodes.resize(Context(Settings(infra=InfraSettings(**infra)), target, ignore, lambda *n: {}, tmp_path))


@pytest.mark.parametrize(
    ("now", "infra", "asked"),
    [
        ((2, 4, 2), {"node_desired_size": 3}, (2, 4, 3)),
        ((2, 4, 3), {}, (2, 4, 2)),
        ((2, 4, 2), {}, None),
        # least above what is wished for now, most below it: Terraform alone would be refused
        ((2, 4, 2), {"node_min_size": 3, "node_desired_size": 3}, (3, 4, 3)),
        ((2, 8, 8), {"node_max_size": 4, "node_desired_size": 4}, (2, 4, 4)),
        # an autoscaler's number counts, within the settings' range
        ((2, 4, 3), {"node_autoscaling": True}, None),
        ((2, 4, 2), {"node_autoscaling": True, "node_min_size": 3, "node_desired_size": 4}, (3, 4, 3)),
        # least and most alone are Terraform's
        ((1, 8, 2), {}, None),
    ],
)
def test_a_group_gets_the_number_that_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: Any, infra: dict[str, Any], asked: Any
) -> None:
    aws = Eks(group(*now))
    assert resized(tmp_path, monkeypatch, aws, **infra) is (asked is not None)
    assert aws.asked == ([sizes(*asked)] if asked else [])
    assert not resized(tmp_path, monkeypatch, aws, **infra), "the second time there is nothing to do"


@pytest.mark.parametrize(
    "found", [None, group(2, 4, 2, tags={}), group(2, 4, 2, status="DELETING"), group(2, 4, 2, status="CREATE_FAILED")]
)
def test_what_is_not_there_not_ours_or_going_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any] | None
) -> None:
    aws = Eks(found)
    assert not resized(tmp_path, monkeypatch, aws, node_desired_size=3)
    assert aws.asked == []


def test_it_waits_for_an_update_that_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Eks(group(2, 4, 2, status="UPDATING"))
    seen: list[str] = []

    def describe(clusterName: str, nodegroupName: str) -> Any:
        assert aws.group is not None
        seen.append(aws.group["status"])
        told = dict(aws.group)
        if len(seen) > 2:
            aws.group["status"] = "ACTIVE"
        elif aws.asked:
            pytest.fail("asked while another update was under way")
        return {"nodegroup": told}

    monkeypatch.setattr(aws, "describe_nodegroup", describe)
    assert resized(tmp_path, monkeypatch, aws, node_desired_size=3)


def test_an_update_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StageFailed) as caught:
        resized(tmp_path, monkeypatch, Eks(group(2, 4, 2), ends="Failed"), node_desired_size=3)
    assert (caught.value.code, caught.value.why) == ("EKS-UPDATE-FAILED", "AccessDenied: no")
