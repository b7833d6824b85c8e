"""`up` and `down`, ended at many points by every signal there is; the next run has to get further each time.

The tests of this module run in their order on one deployment: each is a run that is ended at the next point, so that
every run but the first also proves that its predecessor left nothing in its way.
"""

from __future__ import annotations

import json

import pytest

from tests.lab.interruption import EVERYTHING, Point, end_at
from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak]

UP = [
    Point("the lab starts", r"lab: an AWS on this machine", "SIGTERM"),
    Point("the state bucket is made", r"aws_s3_bucket.state: create started", EVERYTHING),
    Point("terraform apply begins", r"aws_vpc.main: create started", "SIGINT"),
    Point("the cluster is being made", r"aws_eks_cluster.main: create started", EVERYTHING),
    Point("what was forgotten is taken over", r"taking over \d+ things", EVERYTHING),
    Point("nodes are being made", r"aws_eks_node_group.main: create started", "SIGKILL"),
    Point("kubectl is let in", r"kubeconfig: let kubectl in", "SIGINT"),
    Point("helm installs the controller", r"installing aws-load-balancer-controller", "SIGKILL"),
    Point("the controller starts", r"controller: install the AWS", "SIGTERM"),
    Point("helm installs the app", r"installing chaotic-backend", "SIGKILL"),
    Point("the app is checked", r"app: install the app", "SIGINT"),
    Point(
        "alarms are made, with a state and a lock of their own", r"aws_cloudwatch_metric_alarm.\S+: create", EVERYTHING
    ),
    Point("smoke", r"smoke: ", "SIGTERM"),
]
DOWN = [
    Point("Ingresses are asked to go", r"deleted Ingress|deleted ingresses", "SIGKILL"),
    Point("helm uninstalls", r"releases: uninstall", "SIGINT"),
    Point("nodes are removed", r"deleting EKS node group", "SIGKILL"),
    Point("the cluster is removed", r"infra: destroy what Terraform made", "SIGTERM"),
    Point("terraform destroys", r": delete (started|done)", EVERYTHING),
]


def named(points: list[Point]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("point", points, ids=[f"{p.name}-{p.how}".replace(" ", "-") for p in points])


@named(UP)
def test_up_is_ended(user: User, point: Point) -> None:
    end_at(user, point, "up")


def test_the_next_up_finishes_unaided(user: User) -> None:
    user.chaosctl("up")
    listed = user.run(
        user.tools["helm"], "list", "-A", "-o", "json", "--kube-context", "chaotic-backend-cluster"
    ).stdout
    assert {r["name"]: r["status"] for r in json.loads(listed)} == {
        "aws-load-balancer-controller": "deployed",
        "chaotic-backend": "deployed",
    }


def test_nothing_was_made_twice(user: User) -> None:
    """A second `up` has nothing to do, and `status` shows nothing that Terraform does not know."""
    stages = user.json("up")["stages"]
    assert {name: stage["changed"] for name, stage in stages.items()} == dict.fromkeys(stages, False)


@named(DOWN)
def test_down_is_ended(user: User, point: Point) -> None:
    end_at(user, point, "down", "--yes")


def test_the_next_down_finishes_unaided_and_proves_it(user: User) -> None:
    done = user.chaosctl("down", "--yes")
    assert "Nothing is left" in done.stdout


def test_a_half_built_up_is_removed(user: User) -> None:
    """Killed together with Terraform in the middle, so that the state knows next to nothing of what exists."""
    half = Point("nodes are being made", r"aws_eks_node_group.main: create (started|running)", EVERYTHING)
    end_at(user, half, "up")
    assert "Nothing is left" in user.chaosctl("down", "--yes").stdout
