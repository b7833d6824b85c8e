"""Whom the tests of a lab are about. A module says with a fixture `user` of its own what that user did before."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.lab.machine import Snapshot
from tests.lab.user import User


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Has done nothing yet. Whatever a module does as this user, nothing of it stays on the machine."""
    user = User(tmp_path_factory.mktemp("user"))
    before = Snapshot.take(user.home)
    yield user
    user.chaosctl("lab", "stop", "--yes", status=None)
    assert Snapshot.take(user.home) - before == [], "the machine is not as clean as before"


@pytest.fixture(scope="module")
def user(newcomer: User) -> User:
    return newcomer


@pytest.fixture(scope="module")
def deployed(user: User) -> str:
    """What `chaosctl up` says to a person."""
    return user.chaosctl("up").stdout


@pytest.fixture(scope="module")
def aws(user: User, deployed: str) -> Any:
    """boto3 clients of the lab's AWS by service, with the credentials that a user finds."""
    return cache(user.aws)
