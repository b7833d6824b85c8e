"""How the app is set up, read from the API's own objects."""

from __future__ import annotations

from typing import Any

from chaosctl.chaos.settings import AppSettings


def pod(created: str, path: str, **metadata: str) -> dict[str, Any]:
    container = {"readinessProbe": {"httpGet": {"path": path}}}
    return {"metadata": {"creationTimestamp": created, **metadata}, "spec": {"containers": [container]}}


def test_pods_of_the_version_before_that_are_still_ending_say_nothing() -> None:
    ending = pod("2026-01-01T00:00:09Z", "/old", deletionTimestamp="2026-01-01T00:00:39Z")
    found = AppSettings.of([ending, pod("2026-01-01T00:00:01Z", "/older"), pod("2026-01-01T00:00:05Z", "/new")])
    assert found is not None and found.readiness is not None
    assert (found.readiness.path, found.replicas) == ("/new", 2)


def test_without_a_pod_that_stays_nothing_is_known() -> None:
    assert AppSettings.of([pod("2026-01-01T00:00:00Z", "/old", deletionTimestamp="2026-01-01T00:00:39Z")]) is None
