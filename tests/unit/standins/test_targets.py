"""Which pods are targets, and which gates they get."""

from typing import Any

import pytest

from chaosctl.lab.standins.controller.targets import Target, gate, injected, wanted

GATE = gate("tgb")
KEY = ("ns", "pod-1")


def pod(*, gated: bool = True, containers_ready: bool = True, deleting: bool = False) -> dict[str, Any]:
    metadata = {"namespace": "ns", "name": "pod-1", "labels": {"app": "x", "pod-template-hash": "1"}}
    return {
        "metadata": {**metadata, **({"deletionTimestamp": "now"} if deleting else {})},
        "spec": {"readinessGates": [{"conditionType": GATE}] if gated else []},
        "status": {"conditions": [{"type": "ContainersReady", "status": "True" if containers_ready else "False"}]},
    }


def endpoints(**conditions: bool) -> list[dict[str, Any]]:
    reference = {"kind": "Pod", "namespace": "ns", "name": "pod-1"}
    endpoint = {"addresses": ["10.0.1.5"], "conditions": conditions, "targetRef": reference}
    return [{"ports": [{"name": "http", "port": 3000}], "endpoints": [endpoint]}]


PORT = {"name": "http", "port": 80}
HERE = {Target("10.0.1.5", 3000, KEY)}


@pytest.mark.parametrize(
    ("conditions", "state", "targets"),
    [
        ({"ready": True}, pod(gated=False), HERE),
        ({"ready": False}, pod(), HERE),  # only the load balancer can open its gate, and it must see the pod for that
        ({"ready": False}, pod(gated=False), set()),
        ({"ready": False}, pod(containers_ready=False), set()),
        ({"ready": True, "terminating": True}, pod(), set()),
        ({"ready": True}, pod(deleting=True), set()),
        ({}, pod(), HERE),
    ],
)
def test_targets(conditions: dict[str, bool], state: dict[str, Any], targets: set[Target]) -> None:
    assert wanted(endpoints(**conditions), PORT, {KEY: state}, GATE) == targets


def test_another_port_is_not_a_target() -> None:
    assert wanted(endpoints(ready=True), {"name": "metrics", "port": 9}, {KEY: pod()}, GATE) == set()


def test_an_endpoint_without_a_pod() -> None:
    part = {"ports": [{"port": 3000}], "endpoints": [{"addresses": ["10.0.1.9"], "conditions": {"ready": True}}]}
    assert wanted([part], {"port": 80}, {}, GATE) == {Target("10.0.1.9", 3000, None)}


def service(selector: dict[str, str] | None) -> dict[str, Any]:
    return {"metadata": {"name": "app"}, "spec": {"selector": selector}}


def binding(target_type: str = "ip", service_name: str = "app") -> dict[str, Any]:
    return {"metadata": {"name": "tgb"}, "spec": {"targetType": target_type, "serviceRef": {"name": service_name}}}


@pytest.mark.parametrize(
    ("services", "bindings", "gates"),
    [
        ([service({"app": "x"})], [binding()], [GATE]),
        ([service({"app": "y"})], [binding()], []),
        ([service({})], [binding()], []),
        ([service(None)], [binding()], []),
        ([service({"app": "x"})], [binding(target_type="instance")], []),
        ([service({"app": "x"})], [binding(service_name="other")], []),
        ([], [binding()], []),
    ],
)
def test_gates(services: list[dict[str, Any]], bindings: list[dict[str, Any]], gates: list[str]) -> None:
    assert injected(pod(), services, bindings) == gates
