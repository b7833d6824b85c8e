from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from chaosctl.adapters.kube import EVENTS
from chaosctl.stages import readiness
from chaosctl.stages.readiness import Outlook, _failed
from tests.unit.stages.fakes import FakeKube, deployment, pod


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def sick(waiting: str, restarts: int = 0) -> dict[str, Any]:
    made = pod("p", ready=False)
    state = {"waiting": {"reason": waiting}}
    last = {"terminated": {"exitCode": 1, "reason": "Error"}}
    made["status"]["containerStatuses"] = [
        {"name": "web", "restartCount": restarts, "state": state, "lastState": last if restarts else {}}
    ]
    return made


def test_a_pull_has_time_to_be_tried_twice(clock: list[float]) -> None:
    look = Outlook(FakeKube(), "shop", "web")
    for clock[0], fault in ((1.0, None), (3.0, None), (10.0, None), (16.0, "image")):
        cause = look.hopeless([sick("ErrImagePull")])
        assert (cause.fault if cause else None) == fault


def test_what_gets_better_counts_from_the_beginning(clock: list[float]) -> None:
    look = Outlook(FakeKube(), "shop", "web")
    for clock[0], pods in ((3.0, [sick("ErrImagePull")]), (10.0, []), (16.0, [sick("ErrImagePull")])):
        assert look.hopeless(pods) is None


def test_a_loop_ends_the_waiting_and_says_why(clock: list[float]) -> None:
    kube = FakeKube()
    kube.logs = lambda *_, **__: "boom"  # type: ignore[method-assign]
    look = Outlook(kube, "shop", "web")
    clock[0] = 3.0
    cause = look.hopeless([sick("CrashLoopBackOff", restarts=2)], [deployment(availableReplicas=0)])
    assert cause
    error = _failed(kube, "shop", "web", f"is not ready: {cause.fault}", ["0 of 2 pods ready"], cause)
    assert error.code == "NOT-READY"
    assert "crash loop" in error.what
    assert "0 of 2 pods ready" in error.why
    assert "log: boom" in error.why


def test_events_of_an_earlier_try_do_not_count(clock: list[float]) -> None:
    kube = FakeKube()
    subject = {"kind": "Ingress", "namespace": "shop", "name": "web"}
    event = {"metadata": {"name": "e", "namespace": "shop"}, "involvedObject": subject, "type": "Warning"}
    kube.put(EVENTS, {**event, "message": "AccessDenied", "lastTimestamp": "2020-01-01T00:00:00Z"})
    look = Outlook(kube, "shop", "web")
    assert readiness.gather(kube, "shop", [], since=look.since).events == []
    assert len(readiness.gather(kube, "shop", [], since=datetime(2019, 1, 1, tzinfo=UTC)).events) == 1
