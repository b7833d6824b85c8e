from __future__ import annotations

import json
from typing import Any

import pytest

from chaosctl.adapters.terraform_messages import Changes, Diagnostic, Messages, PlannedChange, values
from chaosctl.events import Event, ResourceProgress, Warned


def line(kind: str, **content: Any) -> str:
    return json.dumps({"@level": "info", "@message": "", "@module": "terraform.ui", "type": kind, **content})


def hook(address: str, action: str = "create", **more: Any) -> dict[str, Any]:
    return {"resource": {"addr": address}, "action": action, **more}


def heard(*lines: str) -> tuple[Messages, list[Event]]:
    events: list[Event] = []
    messages = Messages(events.append)
    for each in lines:
        messages(each)
    return messages, events


def test_each_phase_of_a_resource_becomes_an_event() -> None:
    _, events = heard(
        line("apply_start", hook=hook("aws_vpc.main")),
        line("apply_progress", hook=hook("aws_vpc.main", elapsed_seconds=10)),
        line("apply_complete", hook=hook("aws_vpc.main", elapsed_seconds=11)),
    )
    assert events == [
        ResourceProgress("aws_vpc.main", "create", "started", 0.0),
        ResourceProgress("aws_vpc.main", "create", "running", 10.0),
        ResourceProgress("aws_vpc.main", "create", "done", 11.0),
    ]


def test_a_failed_resource_is_no_longer_under_way() -> None:
    messages, events = heard(
        line("apply_start", hook=hook("aws_vpc.main")), line("apply_errored", hook=hook("aws_vpc.main"))
    )
    assert events[-1] == ResourceProgress("aws_vpc.main", "create", "failed", 0.0)
    assert messages.doing() == ""


def test_reads_of_data_sources_are_not_progress() -> None:
    _, events = heard(line("apply_start", hook=hook("data.aws_partition.current", "read")))
    assert events == []


def test_doing_names_the_oldest_and_counts_the_others() -> None:
    messages, _ = heard(line("apply_start", hook=hook("aws_vpc.main")), line("apply_start", hook=hook("aws_eip.nat")))
    assert messages.doing() == "create aws_vpc.main for 0 s and 1 more"


def test_doing_names_what_is_compared_before_anything_changes() -> None:
    messages, _ = heard(line("refresh_start", hook=hook("aws_vpc.main")))
    assert messages.doing() == "comparing aws_vpc.main"


def test_the_last_summary_counts() -> None:
    messages, _ = heard(
        line("change_summary", changes={"add": 3, "change": 0, "remove": 0, "import": 0, "operation": "plan"}),
        line("change_summary", changes={"add": 2, "change": 1, "remove": 0, "operation": "apply"}),
    )
    assert messages.changes == Changes(added=2, changed=1)


def test_outputs_are_their_values() -> None:
    messages, _ = heard(line("outputs", outputs={"vpc_id": {"sensitive": False, "type": "string", "value": "vpc-1"}}))
    assert messages.outputs == {"vpc_id": "vpc-1"}


def test_outputs_that_a_plan_cannot_know_are_left_out() -> None:
    assert values({"vpc_id": {"sensitive": False, "action": "create"}}) == {}


def test_planned_changes_and_drift_are_kept_apart() -> None:
    change = {"resource": {"addr": "aws_vpc.main"}, "action": "update"}
    messages, _ = heard(line("resource_drift", change=change), line("planned_change", change=change))
    assert messages.planned == messages.drifted == [PlannedChange("aws_vpc.main", "update")]


def test_an_error_keeps_where_it_happened() -> None:
    messages, _ = heard(
        line(
            "diagnostic",
            diagnostic={
                "severity": "error",
                "summary": "creating EC2 VPC",
                "detail": "",
                "address": "aws_vpc.main",
                "range": {"filename": "network.tf", "start": {"line": 1, "column": 1}},
            },
        )
    )
    assert messages.errors == [Diagnostic("error", "creating EC2 VPC", "", "aws_vpc.main", "network.tf:1")]


def test_a_warning_is_said_once() -> None:
    warning = line(
        "diagnostic", diagnostic={"severity": "warning", "summary": "Quota nearly used up", "detail": "90 %"}
    )
    _, events = heard(warning, warning)
    assert events == [Warned("Terraform: Quota nearly used up\n90 %")]


def test_deprecations_are_not_the_users_concern() -> None:
    _, events = heard(line("diagnostic", diagnostic={"severity": "warning", "summary": "Argument is deprecated"}))
    assert events == []


def test_what_is_not_json_is_kept() -> None:
    messages, _ = heard("panic: runtime error", "42")
    assert messages.plain == ["panic: runtime error", "42"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "creating EC2 VPC: operation error EC2: CreateVpc, https response error StatusCode: 400, RequestID: 1, "
            "api error VpcLimitExceeded: The maximum number of VPCs has been reached.",
            "VpcLimitExceeded",
        ),
        (
            "operation error EKS: CreateCluster, https response error StatusCode: 400, RequestID: 1, "
            "UnsupportedAvailabilityZoneException: no capacity",
            "UnsupportedAvailabilityZoneException",
        ),
        ("Invalid value for variable", ""),
    ],
)
def test_the_name_of_the_aws_error_is_found(text: str, code: str) -> None:
    assert Diagnostic("error", text).aws_code == code


def test_changes_read_as_a_sentence() -> None:
    assert str(Changes(added=2, removed=1)) == "2 added, 1 removed"
    assert str(Changes()) == "no changes"
    assert not Changes()
