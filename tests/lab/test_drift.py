"""What somebody else changes is named by `status --drift`, that and nothing else, and `up` puts it back.

The tests of this module run in their order on one deployment. Changes are made as people make them: with kubectl, and
with an SDK of AWS.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak]
CLUSTER, APP = "chaotic-backend-cluster", "chaotic-backend"
ADDON, ALARM = "metrics-server", "latency"
OPENED = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "198.51.100.0/24"}]}
SECONDS = 240.0  # for what EKS and Kubernetes do by themselves afterwards


def eventually(check: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(1)


def scale_the_deployment(user: User, aws: Any) -> None:
    """To nothing: from there the autoscaler does not bring it back."""
    user.kubectl("-n", APP, "scale", "deployment", APP, "--replicas=0")


def edit_the_ingress(user: User, aws: Any) -> None:
    edited = "alb.ingress.kubernetes.io/healthcheck-path=/nowhere"
    user.kubectl("-n", APP, "annotate", "ingress", APP, edited, "--overwrite")


def cluster_security_group(aws: Any) -> str:
    told = aws("eks").describe_cluster(name=CLUSTER)["cluster"]["resourcesVpcConfig"]
    return str(told["clusterSecurityGroupId"])


def open_a_security_group(user: User, aws: Any) -> None:
    aws("ec2").authorize_security_group_ingress(GroupId=cluster_security_group(aws), IpPermissions=[OPENED])


def close_it_again(aws: Any) -> None:
    aws("ec2").revoke_security_group_ingress(GroupId=cluster_security_group(aws), IpPermissions=[OPENED])


def group(aws: Any) -> Any:
    return aws("eks").describe_nodegroup(clusterName=CLUSTER, nodegroupName="main")["nodegroup"]


def resize_the_group(user: User, aws: Any) -> None:
    aws("eks").update_nodegroup_config(clusterName=CLUSTER, nodegroupName="main", scalingConfig={"desiredSize": 3})
    eventually(lambda: group(aws)["status"] == "ACTIVE", "the third node")


def delete_an_alarm(user: User, aws: Any) -> None:
    aws("cloudwatch").delete_alarms(AlarmNames=[f"{CLUSTER}/{ALARM}"])


def delete_an_addon(user: User, aws: Any) -> None:
    aws("eks").delete_addon(clusterName=CLUSTER, addonName=ADDON)
    eventually(lambda: ADDON not in aws("eks").list_addons(clusterName=CLUSTER)["addons"], "the add-on to go")


# what somebody does -> how the object of the difference begins
CHANGES = {
    scale_the_deployment: f"Deployment {APP}/{APP}",
    edit_the_ingress: f"Ingress {APP}/{APP}",
    open_a_security_group: "security group sg-",
    resize_the_group: "node group main",
    delete_an_alarm: f"aws_cloudwatch_metric_alarm.{ALARM}",
    delete_an_addon: f'aws_eks_addon.on_nodes["{ADDON}"]',
}


def drift(user: User, *, status: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = user.json("status", "--drift", status=status)["drift"]
    return found


@pytest.fixture(scope="module")
def seen(user: User, aws: Any) -> list[dict[str, str]]:
    """What is told after all six changes."""
    assert drift(user, status=0) == []
    for change in CHANGES:
        change(user, aws)
    return drift(user, status=9)


def test_exactly_what_was_changed_is_named(seen: list[dict[str, str]]) -> None:
    named = {begin: [d["object"] for d in seen if d["object"].startswith(begin)] for begin in CHANGES.values()}
    assert {begin: len(objects) for begin, objects in named.items()} == dict.fromkeys(CHANGES.values(), 1), seen
    assert len(seen) == len(CHANGES), seen


def test_each_says_what_and_what_to_do(seen: list[dict[str, str]], aws: Any) -> None:
    told = {d["object"]: d for d in seen}
    assert "is scaled to 0" in told[f"Deployment {APP}/{APP}"]["what"]
    assert "/nowhere" in told[f"Ingress {APP}/{APP}"]["what"]
    opened = told[f"security group {cluster_security_group(aws)} ({_name(aws)})"]
    assert opened["what"] == "is open to 198.51.100.0/24 on port 22"
    assert "revoke-security-group-ingress" in opened["remedy"]
    assert told["node group main"]["what"] == "desired size is 3, infra.node_desired_size is 2"
    assert told["node group main"]["remedy"].startswith("`chaosctl infra`")


def _name(aws: Any) -> str:
    (found,) = aws("ec2").describe_security_groups(GroupIds=[cluster_security_group(aws)])["SecurityGroups"]
    return str(found["GroupName"])


def test_plan_names_what_up_would_put_back(user: User, seen: list[dict[str, str]]) -> None:
    found = user.json("plan", status=9)
    assert {"node group main"} == {change["object"] for change in found["aws"]}
    assert {"create"} <= {change["action"] for change in found["terraform"]}


def test_up_puts_it_back_and_nothing_differs_any_more(user: User, aws: Any, seen: list[dict[str, str]]) -> None:
    close_it_again(aws)  # what a person opened, a person closes: that is the remedy which is told
    changed = {name for name, stage in user.json("up")["stages"].items() if stage["changed"]}
    assert changed >= {"infra", "app", "alarms"}
    assert group(aws)["scalingConfig"]["desiredSize"] == 2
    assert drift(user, status=0) == []
    assert user.json("plan", status=0)["different"] is False
    listed = json.loads(user.kubectl("-n", APP, "get", "pods", "-o", "json"))["items"]
    assert len([p for p in listed if p["metadata"].get("labels", {}).get("app.kubernetes.io/name")]) == 3
