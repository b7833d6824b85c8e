"""Every fault is named from what the API showed. recorded/faults.json is what a lab cluster (1.36.3) answered."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from chaosctl.stages import diagnosis
from chaosctl.stages.diagnosis import Cause, Evidence, causes

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "recorded" / "faults.json").read_text())
ACCESS_DENIED = (
    "Failed deploy model due to operation error Elastic Load Balancing v2: CreateLoadBalancer, https response error "
    "StatusCode: 403, RequestID: 6c3e, api error AccessDenied: User: arn:aws:sts::123456789012:assumed-role/controller "
    "is not authorized to perform: elasticloadbalancing:CreateLoadBalancer on resource: arn:aws:elasticloadbalancing:*"
)
NO_SUBNETS = (
    "Failed build model due to couldn't auto-discover subnets: unable to resolve at least one subnet. Evaluated 0 "
    "subnets: 0 are tagged for other clusters, and 0 have insufficient available IP addresses"
)
TOO_MANY = (
    "Failed deploy model due to operation error Elastic Load Balancing v2: CreateLoadBalancer, https response error "
    "StatusCode: 400, RequestID: 77, api error TooManyLoadBalancers: The maximum number of load balancers is reached"
)
EXPIRED = (
    "Failed deploy model due to operation error EC2: DescribeSecurityGroups, https response error StatusCode: 400, "
    "RequestID: 9, api error ExpiredToken: The security token included in the request is expired"
)


def recorded(name: str) -> Evidence:
    return Evidence(**copy.deepcopy(RECORDED[name]))


def first(evidence: Evidence) -> Cause:
    return causes(evidence)[0]


def about_ingress(message: str, kind: str = "Warning") -> Evidence:
    subject = {"kind": "Ingress", "namespace": "shop", "name": "web"}
    event = {"metadata": {"name": "e"}, "involvedObject": subject, "type": kind, "reason": "FailedDeployModel"}
    return Evidence(events=[{**event, "message": message, "lastTimestamp": "2026-11-23T17:00:00Z"}])


@pytest.mark.parametrize(
    ("name", "fault", "object", "reason"),
    [
        ("image", diagnosis.IMAGE, "Pod faults/image-", "registry.example/no/such:1"),
        ("crash", diagnosis.CRASH_LOOP, "Pod faults/crash-", "exit status 3, 4 restarts"),
        ("oom", diagnosis.OUT_OF_MEMORY, "Pod faults/oom-", "memory limit is 32Mi"),
        ("unschedulable", diagnosis.UNSCHEDULABLE, "Pod faults/unschedulable-", "2 Insufficient cpu"),
        ("readiness", diagnosis.READINESS, "Pod faults/readiness-", "/ready"),
        ("liveness", diagnosis.LIVENESS, "Pod faults/liveness-", "/live"),
        (
            "webhook",
            diagnosis.WEBHOOK,
            "webhook mpod.example.com (Service faults/nobody)",
            'service "nobody" not found',
        ),
        ("budget", diagnosis.BUDGET, "PodDisruptionBudget faults/strict", "it keeps 1"),
    ],
)
def test_what_a_cluster_showed(name: str, fault: str, object: str, reason: str) -> None:
    cause = first(recorded(name))
    assert cause.fault == fault
    assert cause.object.startswith(object)
    assert reason in cause.reason
    assert cause.remedy


@pytest.mark.parametrize(
    ("message", "fault", "reason"),
    [
        (ACCESS_DENIED, diagnosis.PERMISSION, "may not do elasticloadbalancing:CreateLoadBalancer"),
        (NO_SUBNETS, diagnosis.SUBNETS, "unable to resolve at least one subnet"),
        (TOO_MANY, diagnosis.QUOTA, "TooManyLoadBalancers"),
        (EXPIRED, diagnosis.CREDENTIALS, "ExpiredToken"),
    ],
)
def test_what_aws_told_the_controller(message: str, fault: str, reason: str) -> None:
    cause = first(about_ingress(message))
    assert (cause.fault, cause.object) == (fault, "Ingress shop/web")
    assert reason in cause.reason
    assert cause.event.startswith("FailedDeployModel: ")


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        ("ec2 run_instances: VcpuLimitExceeded: You have requested more vCPU capacity", diagnosis.QUOTA),
        ("sts get_caller_identity: ExpiredToken: The security token is expired", diagnosis.CREDENTIALS),
        ('POST /pods: 500 InternalError: failed calling webhook "v.elbv2.k8s.aws": refused', diagnosis.WEBHOOK),
    ],
)
def test_what_a_request_was_refused_with(error: str, fault: str) -> None:
    assert first(Evidence(errors=[error])).fault == fault


def test_a_controller_that_is_told_to_wait_is_no_fault() -> None:
    assert causes(about_ingress("api error TooManyRequestsException: slow down")) == []


def test_a_good_event_is_no_fault() -> None:
    assert causes(about_ingress("quota LimitExceeded was raised", kind="Normal")) == []


@pytest.mark.parametrize("name", ["image", "crash", "oom", "unschedulable", "liveness", "webhook"])
def test_what_is_hopeless(name: str) -> None:
    assert first(recorded(name)).hopeless_after is not None


def test_what_only_time_can_tell() -> None:
    assert first(recorded("readiness")).hopeless_after is None


def test_a_deployment_that_gave_up_is_hopeless_at_once() -> None:
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    evidence = Evidence(**RECORDED["readiness"], deployment={"status": {"conditions": [condition]}})
    assert first(evidence).hopeless_after == 0


def test_a_crash_beside_a_healthy_pod_may_be_bad_luck() -> None:
    evidence = recorded("crash")
    healthy = copy.deepcopy(evidence.pods[0])
    healthy["metadata"]["name"] = "other"
    healthy["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert first(Evidence([*evidence.pods, healthy], evidence.events)).hopeless_after is None


def test_room_is_being_made() -> None:
    evidence = recorded("unschedulable")
    going = {"metadata": {"name": "old", "deletionTimestamp": "2026-11-23T17:00:00Z"}}
    assert first(Evidence([*evidence.pods, going], evidence.events)).hopeless_after is None


def test_a_pod_that_the_load_balancer_does_not_like() -> None:
    gate = "target-health.elbv2.k8s.aws/x"
    conditions = [
        {"type": "ContainersReady", "status": "True"},
        {"type": gate, "status": "False", "message": "Health checks failed"},
    ]
    pod = {
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"readinessGates": [{"conditionType": gate}]},
        "status": {"conditions": conditions},
    }
    cause = first(Evidence([pod]))
    assert (cause.fault, cause.object) == (diagnosis.READINESS, "Pod shop/p")
    assert "Health checks failed" in cause.reason


def test_a_budget_that_leaves_room_is_no_fault_unless_it_refused() -> None:
    status = {"expectedPods": 3, "desiredHealthy": 2, "currentHealthy": 2, "disruptionsAllowed": 0}
    found = {"metadata": {"name": "web", "namespace": "shop"}, "status": status}
    assert causes(Evidence(budgets=[found])) == []
    refused = "POST /eviction: 429 TooManyRequests: it would violate the pod's disruption budget"
    assert causes(Evidence(budgets=[found], errors=[refused]))[0].fault == diagnosis.BUDGET


def test_nothing_wrong() -> None:
    assert causes(Evidence()) == []


def hooked(text: str, *later: dict[str, Any]) -> Evidence:
    subject = {"kind": "ReplicaSet", "namespace": "shop", "name": "web-1", "uid": "u"}
    failed = {"involvedObject": subject, "reason": "FailedCreate", "lastTimestamp": "2026-11-23T10:00:00Z"}
    made = [{"metadata": {}, "involvedObject": subject, **event} for event in later]
    return Evidence(
        events=[{**failed, "metadata": {}, "message": f'failed calling webhook "m.k8s.aws": {text}'}, *made]
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("no endpoints available for service", diagnosis.RETRIES_SECONDS),
        ("context deadline exceeded", diagnosis.FAILOVER_SECONDS),
    ],
)
def test_a_webhook_whose_node_died_gets_the_time_to_fail_over(text: str, seconds: float) -> None:
    assert first(hooked(text)).hopeless_after == seconds


def test_a_webhook_that_answers_again_is_no_fault() -> None:
    made = {"reason": "SuccessfulCreate", "lastTimestamp": "2026-11-23T10:00:07Z", "message": "Created pod: web-1-x"}
    assert causes(hooked("context deadline exceeded", made)) == []
