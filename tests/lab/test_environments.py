"""Two environments side by side in one account, the lab's: neither notices what happens to the other.

The tests of this module run in their order on both deployments.
"""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.lab.traffic import Traffic
from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak]
STAGING = ("--env", "staging")
CLUSTERS = ("chaotic-backend-cluster", "chaotic-backend-cluster-staging")


@pytest.fixture(scope="module")
def both(user: User) -> tuple[str, str]:
    """URLs of the default environment and of staging."""
    user.chaosctl("up")
    user.chaosctl("up", *STAGING)
    return user.chaosctl("url").stdout.strip(), user.chaosctl("url", *STAGING).stdout.strip()


def test_each_has_a_cluster_an_address_and_a_context(user: User, both: tuple[str, str]) -> None:
    assert len({*both}) == 2
    assert {*user.aws("eks").list_clusters()["clusters"]} == {*CLUSTERS}
    contexts: Any = YAML(typ="safe").load(user.kubeconfig)["contexts"]
    assert {*CLUSTERS} <= {context["name"] for context in contexts}


def test_chaos_in_one_is_not_noticed_in_the_other(user: User, both: tuple[str, str]) -> None:
    with Traffic(both[0]) as traffic:
        result = user.json("chaos", "--kill-pods", "--seed", "7", *STAGING)
    assert result["verdict"] == "PASS"
    assert {*traffic.answers} == {"200"}, traffic.answers
    assert user.json("status")["last_chaos"] is None
    assert user.json("status", *STAGING)["last_chaos"]["verdict"] == "PASS"


def test_a_second_up_of_the_first_changes_nothing(user: User, both: tuple[str, str]) -> None:
    stages = user.json("up")["stages"]
    assert {name: stage["changed"] for name, stage in stages.items()} == dict.fromkeys(stages, False)


def test_down_of_one_leaves_the_other_and_the_lab(user: User, both: tuple[str, str]) -> None:
    with Traffic(both[1]) as traffic:
        assert "the lab stays: staging is deployed in it" in user.chaosctl("down", "--yes").stderr
    assert {*traffic.answers} == {"200"}, traffic.answers
    assert user.aws("eks").list_clusters()["clusters"] == [CLUSTERS[1]]
    assert user.json("smoke", *STAGING)["passed"]


def test_down_of_the_last_one_takes_the_lab_with_it(user: User, both: tuple[str, str]) -> None:
    user.chaosctl("down", "--yes", *STAGING)
    assert user.json("lab", "status")["left"] == []
