from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from chaosctl.lab.aws import patience
from tests.contract.aws.conftest import Lab, MakeCluster


@pytest.fixture
def timed(lab: Lab, make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[float, str]]:
    """Asks for a cluster that is not there yet; returns seconds until the answer, and the status in it."""
    make_cluster(active=False)
    monkeypatch.setattr(patience, "HOLD", 5.0)
    eks: Any = lab.client("eks")

    def ask() -> tuple[float, str]:
        begun = time.monotonic()
        status: str = eks.describe_cluster(name="demo")["cluster"]["status"]
        return time.monotonic() - begun, status

    return ask


def test_whoever_asks_again_hears_of_the_change_at_once(lab: Lab, timed: Callable[[], tuple[float, str]]) -> None:
    timed()
    ready = threading.Timer(0.3, lambda: lab.store.cluster_observed("demo", "ACTIVE", endpoint="https://x"))
    ready.start()
    seconds, status = timed()
    ready.join()
    assert status == "ACTIVE"
    assert 0.2 < seconds < 4


def test_the_answer_is_not_held_for_ever(
    timed: Callable[[], tuple[float, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed()
    monkeypatch.setattr(patience, "HOLD", 0.2)
    seconds, status = timed()
    assert status == "CREATING"
    assert seconds >= 0.2
