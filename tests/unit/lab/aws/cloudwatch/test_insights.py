from __future__ import annotations

from typing import Any

import pytest

from chaosctl.lab.aws.cloudwatch.insights import Sight, Usage, measure, workload_of

WEB = (("Namespace", "shop"), ("PodName", "web"))


def node(name: str = "n1", **conditions: str) -> dict[str, Any]:
    told = {"Ready": "True", "MemoryPressure": "False", **conditions}
    return {
        "metadata": {"name": name},
        "spec": {"providerID": "aws:///us-west-2a/i-1"},
        "status": {
            "capacity": {"cpu": "2", "memory": "4Gi"},
            "conditions": [{"type": type_, "status": status} for type_, status in told.items()],
        },
    }


def pod(restarts: int = 0, waiting: str = "", ready: str = "True") -> dict[str, Any]:
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    return {
        "metadata": {
            "uid": "u1",
            "name": "web-5f-x",
            "namespace": "shop",
            "ownerReferences": [{"controller": True, "kind": "ReplicaSet", "name": "web-5f"}],
        },
        "spec": {
            "nodeName": "n1",
            "containers": [{"resources": {"limits": {"cpu": "500m", "memory": "512Mi"}}}],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"restartCount": restarts, "state": state}],
        },
    }


def measured(before: dict[str, int] | None = None, **sight: Any) -> dict[tuple[str, Any], float]:
    given = {"nodes": [node()], "pods": [pod()], "scaled": [], "nodes_used": {}, "pods_used": {}, **sight}
    return {(v.name, v.dimensions): v.value for v in measure(Sight(**given), before or {})}


@pytest.mark.parametrize(
    ("conditions", "failed", "ready"),
    [({}, 0, 1), ({"Ready": "Unknown", "MemoryPressure": "Unknown"}, 1, 0), ({"MemoryPressure": "True"}, 1, 1)],
)
def test_a_node_has_failed_when_it_is_under_pressure_or_silent(
    conditions: dict[str, str], failed: int, ready: int
) -> None:
    found = measured(nodes=[node(), node("n2", **conditions)])
    assert (found["cluster_node_count", ()], found["cluster_failed_node_count", ()]) == (2, failed)
    assert found["node_status_condition_ready", (("InstanceId", "i-1"), ("NodeName", "n2"))] == ready


def test_restarts_are_those_since_the_last_look() -> None:
    name = "pod_number_of_container_restarts"
    assert measured(pods=[pod(5)], before={"u1": 3})[name, WEB] == 2
    assert measured(pods=[pod(5)], before={})[name, WEB] == 5
    assert measured(pods=[pod(0)], before={"u1": 3})[name, WEB] == 0


def test_a_crash_loop_shows_while_the_container_waits() -> None:
    name = "pod_container_status_waiting_reason_crash_loop_back_off"
    assert measured(pods=[pod(waiting="CrashLoopBackOff")])[name, WEB] == 1
    assert measured(pods=[pod(waiting="ImagePullBackOff")])[name, WEB] == 0


def test_saturation_is_a_share_of_the_node_and_of_the_limits() -> None:
    found = measured(nodes_used={"n1": Usage(1.0, 2**30)}, pods_used={"u1": Usage(0.25, 2**28)})
    assert found["node_cpu_utilization", ()] == 50
    assert found["node_memory_utilization", ()] == 25
    assert found["pod_cpu_utilization", WEB] == 12.5
    assert found["pod_cpu_utilization_over_pod_limit", WEB] == 50
    assert found["pod_memory_utilization_over_pod_limit", WEB] == 50


def test_a_workload_says_how_many_it_wants_and_has() -> None:
    status = {"readyReplicas": 2, "availableReplicas": 1, "unavailableReplicas": 2}
    web = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": 3}, "status": status}
    found = measured(scaled=[web])
    names = ("replicas_desired", "replicas_ready", "status_replicas_available", "status_replicas_unavailable")
    assert [found[name, WEB] for name in names] == [3, 2, 1, 2]


def test_pods_are_named_by_their_workload() -> None:
    assert workload_of(pod()) == "web"
    assert workload_of({"metadata": {"name": "alone"}}) == "alone"
