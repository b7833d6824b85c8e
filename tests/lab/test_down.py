"""`down` on bad days: everything that stood in the way of one (tests/lab/obstacles.py) at once.

`benchmarks/down.py` does this twenty times over. The tests run in their order, in one lab: something of another
environment keeps it there until the last of them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from tests.lab import obstacles
from tests.lab.account import census
from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak]
KEEPER = {"RoleName": "of-another-environment"}


@pytest.fixture(scope="module")
def user(newcomer: User) -> User:
    newcomer.chaosctl("lab", "start")
    tags = [{"Key": "chaosctl:environment", "Value": "another"}]
    newcomer.aws("iam").create_role(**KEEPER, AssumeRolePolicyDocument="{}", Tags=tags)
    return newcomer


@pytest.fixture(scope="module")
def aws(user: User) -> Any:
    return cache(user.aws)


@pytest.fixture(scope="module")
def at_first(aws: Any) -> frozenset[str]:
    return census(aws)


@pytest.mark.parametrize("controller", ["lives", "scaled-to-nothing", "deleted"])
def test_down_with_everything_in_its_way(user: User, aws: Any, at_first: frozenset[str], controller: str) -> None:
    user.chaosctl("up")
    obstacles.put(user, obstacles.DEPLOYED)
    if controller == "scaled-to-nothing":
        obstacles.controller_scaled_to_nothing(user)
    elif controller == "deleted":
        obstacles.controller_deleted(user)
    done = user.chaosctl("down", "--yes", timeout=600)
    assert "Nothing is left" in done.stdout
    assert "taking off example.com/nobody-serves-it" in done.stderr
    assert ("the load balancer controller does not run" in done.stderr) == (controller != "lives")
    assert census(aws) - at_first == frozenset()


def test_the_lab_stays_for_the_other_environment(user: User) -> None:
    assert "the lab stays: another is deployed in it" in user.chaosctl("down", "--yes").stderr
    assert user.json("lab", "status")["running"]


def test_a_second_down_is_quick(user: User) -> None:
    """All is looked through, with the bucket and an empty state in it, and nothing found."""
    done = user.chaosctl("down", "--yes", timeout=10)
    assert "There was nothing to remove" in done.stdout
    assert "infra: Terraform had made nothing" in done.stderr


def test_with_the_last_environment_the_lab_goes(user: User, aws: Any) -> None:
    aws("iam").delete_role(**KEEPER)
    user.chaosctl("down", "--yes")
    assert user.json("lab", "status")["left"] == []
