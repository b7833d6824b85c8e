from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from chaosctl.adapters.elb import LoadBalancer, TargetHealth
from chaosctl.adapters.kube import EVENTS, PODS
from chaosctl.adapters.pod import Pod
from chaosctl.stages.entrance import Entrance, lacks, url_of
from chaosctl.stages.readiness import lacks_pods, not_ready, rolled_out, selector_of
from chaosctl.waiting import TimedOut
from tests.unit.stages.fakes import FakeKube, deployment, pod


@pytest.mark.parametrize(
    ("status", "lack"),
    [
        ({}, ""),
        ({"observedGeneration": 0}, "not seen"),
        ({"updatedReplicas": 1}, "1 of 2 pods updated"),
        ({"replicas": 3}, "1 old pods still there"),
        ({"availableReplicas": 0}, "0 of 2 pods ready"),
    ],
)
def test_what_a_rollout_lacks(status: dict[str, Any], lack: str) -> None:
    said = rolled_out(deployment(**status))
    assert said.startswith(lack) if lack else said == ""


def test_pods_count_although_the_deployment_has_not_noticed_that_they_are_gone() -> None:
    stale, one = deployment(), Pod.of(pod("p", ready=True))
    assert rolled_out(stale) == ""
    assert lacks_pods(stale, [one]) == "1 of 2 pods ready"
    assert lacks_pods(stale, [one, Pod.of(pod("q", ready=True))]) == ""
    assert lacks_pods(stale, [one, one, Pod.of(pod("q", ready=False))]) == "2 of 3 pods ready"


def test_a_selector() -> None:
    assert selector_of(deployment("web")) == "app=web"


def test_why_it_is_not_ready() -> None:
    kube = FakeKube()
    sick = pod("p", ready=False)
    sick["status"]["containerStatuses"] = [{"name": "web", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
    kube.put(PODS, sick)
    event = {"metadata": {"name": "e", "namespace": "shop"}, "reason": "BackOff", "message": "restarting"}
    kube.put(EVENTS, event | {"involvedObject": {"name": "p"}, "lastTimestamp": "2026-11-23T17:00:00Z"})
    kube.logs = lambda *_, **__: "boom"  # type: ignore[method-assign]
    late = TimedOut("web", 300, "0 of 2 pods ready")
    error = not_ready(kube, "shop", "web", [sick], late, since=datetime(2026, 11, 23, tzinfo=UTC))
    assert error.code == "NOT-READY"
    for part in ("0 of 2 pods ready", "pod p", "CrashLoopBackOff", "BackOff: restarting", "log: boom"):
        assert part in error.why


def ingress(hostname: str = "", **annotations: str) -> dict[str, Any]:
    address = [{"hostname": hostname}] if hostname else []
    return {
        "metadata": {"annotations": annotations},
        "spec": {"rules": [{}]},
        "status": {"loadBalancer": {"ingress": address}},
    }


def test_urls() -> None:
    assert url_of(None) == ""
    assert url_of(ingress()) == ""
    assert url_of(ingress("lb.example")) == "http://lb.example"
    assert url_of(ingress("lb.example", **{"alb.ingress.kubernetes.io/certificate-arn": "arn"})) == "https://lb.example"


def door(*targets: TargetHealth, state: str = "active") -> Entrance:
    return Entrance("http://lb", LoadBalancer("arn", "lb", "lb.example", state, "internet-facing"), targets)


def test_what_an_entrance_lacks() -> None:
    pods = [Pod.of(pod("a", ip="10.0.0.1")), Pod.of(pod("b", ip="10.0.0.2"))]
    healthy = TargetHealth("g", "10.0.0.1", 3000, "healthy")
    initial = TargetHealth("g", "10.0.0.2", 3000, "initial", "Elb.RegistrationInProgress")
    assert lacks(None, pods) == "the Ingress has no load balancer yet"
    assert lacks(door(state="provisioning"), pods) == "the load balancer is provisioning"
    assert lacks(door(healthy), pods) == "1 of 2 targets healthy; b: not registered"
    assert lacks(door(healthy, initial), pods).endswith("b: initial Elb.RegistrationInProgress")
    assert lacks(door(healthy, TargetHealth("g", "10.0.0.2", 3000, "healthy")), pods) == ""
