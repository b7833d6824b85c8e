"""Each look in which it fails, and what `doctor` makes of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from chaosctl.adapters import inventory
from chaosctl.adapters.aws import AwsRefused, Caller, Login
from chaosctl.adapters.inventory import Leftover
from chaosctl.config import InfraSettings, Settings
from chaosctl.errors import PreconditionFailed
from chaosctl.events import Event, Warned
from chaosctl.findings import Check, Finding, Level, ok, problem, warning
from chaosctl.lab.aws.eks.versions import KUBERNETES
from chaosctl.stages import doctor, examinations
from chaosctl.stages.doctor import EXAMINATIONS, Doctor, Examination, examine
from chaosctl.stages.examinations import Case, address_inside, judge_tools, judge_version
from chaosctl.stages.rollback import RolledBack
from chaosctl.stages.stage import Context
from chaosctl.target import ChartSource, Target
from chaosctl.toolbox.toolbox import ToolReport
from tests.unit.stages.fakes import FakeKube

TODAY = date(2026, 11, 23)
LOCK = {"ID": "4a", "Operation": "OperationTypeApply", "Who": "ann@laptop", "Created": "2026-11-23T16:40:53.62064812Z"}


def refused(code: str) -> AwsRefused:
    error = AwsRefused("AWS refused a request", code="AWS-REFUSED", why=code)
    error.aws_code = code
    return error


def expired() -> PreconditionFailed:
    return PreconditionFailed("not accepted", code="AWS-CREDENTIALS", why="ExpiredToken", remedy="log in")


@dataclass
class FakeAws:
    """An account: answers by operation; an exception is raised."""

    answers: dict[str, Any] = field(default_factory=dict)

    def call(self, service: str, operation: str, **_: Any) -> Any:
        answer = self.answers.get(operation, refused("ResourceNotFoundException"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pages(self, service: str, operation: str, key: str, **_: Any) -> Iterator[Any]:
        yield from self.answers.get(operation, ())

    def caller(self) -> Caller:
        return self.call("sts", "caller")  # type: ignore[no-any-return]

    def login(self) -> Login:
        return self.call("sts", "login")  # type: ignore[no-any-return]


@dataclass
class FakeAccess:
    aws: FakeAws
    kube: FakeKube


def case(tmp_path: Path, answers: Mapping[str, Any] | None = None, **settings: Any) -> Case:
    wanted = Settings(**settings)
    target = Target("fake", "us-west-2", {}, {"app": ChartSource("app")}, "bucket")
    context = Context(wanted, target, lambda _: None, lambda *_: {}, tmp_path)
    made = Case(wanted, context, TODAY)
    made.__dict__["access"] = FakeAccess(FakeAws(dict(answers or {})), FakeKube())
    return made


def levels(findings: Iterator[Finding]) -> list[str]:
    return [f.level.value for f in findings]


CLUSTER = {"describe_cluster": {"cluster": {"version": "1.34", "endpoint": "https://c"}}}


def test_expired_credentials(tmp_path: Path) -> None:
    found = list(examinations.credentials(case(tmp_path, {"caller": expired()})))
    assert [(f.level, f.remedy) for f in found] == [(Level.PROBLEM, "log in")]


@pytest.mark.parametrize(
    ("minutes", "renewed", "expected"),
    [
        (20, False, ["ok", "warning"]),
        (20, True, ["ok"]),  # a role's credentials last an hour, and botocore has new ones then
        (90, False, ["ok"]),
        (None, False, ["ok"]),
    ],
)
def test_credentials_that_soon_expire(tmp_path: Path, minutes: int | None, renewed: bool, expected: list[str]) -> None:
    until = None if minutes is None else datetime.now(UTC) + timedelta(minutes=minutes)
    answers = {"caller": Caller("1" * 12, "arn:me"), "login": Login(until, renewed)}
    assert levels(examinations.credentials(case(tmp_path, answers))) == expected


def test_another_account_than_the_pinned_one(tmp_path: Path) -> None:
    answers = {"caller": Caller("1" * 12, "arn:me")}
    assert levels(examinations.account(case(tmp_path, answers, account_id="2" * 12))) == ["problem"]
    assert levels(examinations.account(case(tmp_path, answers, account_id="1" * 12))) == ["ok"]


CI, ANN = "arn:aws:iam::111111111111:role/deploy/ci", "arn:aws:iam::111111111111:user/ann"
CI_SESSION = "arn:aws:sts::111111111111:assumed-role/ci/run-7"


def admitted(*arns: str) -> dict[str, Any]:
    """A cluster whose access entries are Terraform's."""
    tags = {"chaosctl:cluster": "chaotic-backend-cluster", "chaosctl:environment": "default"}
    return {**CLUSTER, "list_access_entries": arns, "describe_access_entry": {"accessEntry": {"tags": tags}}}


@pytest.mark.parametrize(
    ("caller", "named", "there", "level"),
    [
        (CI_SESSION, [], (), "ok"),
        (CI_SESSION, [], (CI,), "ok"),
        (ANN, [], (CI,), "warning"),  # each `up` would take the other's entry
        (ANN, [CI, ANN], (CI,), "ok"),
        (CI_SESSION, [CI, ANN], (), "ok"),
        (ANN, [CI], (), "problem"),  # nobody could go on after `infra`
    ],
)
def test_who_administers_the_cluster(
    tmp_path: Path, caller: str, named: list[str], there: tuple[str, ...], level: str
) -> None:
    answers = {**(admitted(*there) if there else {}), "caller": Caller("1" * 12, caller)}
    infra = InfraSettings(admin_principal_arns=named)
    assert levels(examinations.administrators(case(tmp_path, answers, infra=infra))) == [level]


def test_developers_are_no_administrators(tmp_path: Path) -> None:
    answers = {**admitted(CI), "caller": Caller("1" * 12, ANN)}
    infra = InfraSettings(developer_principal_arns=[CI])
    assert levels(examinations.administrators(case(tmp_path, answers, infra=infra))) == ["ok"]


def test_a_region_with_too_few_zones(tmp_path: Path) -> None:
    answers = {"describe_availability_zones": {"AvailabilityZones": [{"ZoneName": "us-west-2a"}]}}
    assert levels(examinations.region(case(tmp_path, answers))) == ["problem"]


def quota_answers(limit: float | Exception, **answers: Any) -> dict[str, Any]:
    told = limit if isinstance(limit, Exception) else {"Quota": {"Value": limit}}
    types = {"InstanceTypes": [{"VCpuInfo": {"DefaultVCpus": 2}}]}
    return {"get_service_quota": told, "describe_instance_types": types, **answers}


def test_quotas_that_are_used_up(tmp_path: Path) -> None:
    instances = [{"Instances": [{"CpuOptions": {"CoreCount": 8, "ThreadsPerCore": 2}}]}]
    used = {"describe_vpcs": range(5), "describe_addresses": range(5), "describe_instances": instances}
    found = list(examinations.quotas(case(tmp_path, quota_answers(5, **used))))
    assert [f.level for f in found] == [Level.PROBLEM] * 3
    assert found[0].what.endswith("16 of 5 are used, 8 more are needed")


def test_quotas_with_room(tmp_path: Path) -> None:
    assert levels(examinations.quotas(case(tmp_path, quota_answers(100)))) == ["ok"] * 3


def test_quotas_that_nobody_tells(tmp_path: Path) -> None:
    assert levels(examinations.quotas(case(tmp_path, quota_answers(refused("AccessDenied"))))) == ["unknown"] * 3


def test_a_deployment_has_taken_its_quota(tmp_path: Path) -> None:
    assert levels(examinations.quotas(case(tmp_path, {**quota_answers(0), **CLUSTER}))) == ["ok"]


def test_a_missing_tool() -> None:
    reports = [ToolReport("helm", "4.1.4", "PATH", Path("/bin/helm")), ToolReport("kubectl", "1.36", "missing", None)]
    found = list(judge_tools(reports))
    assert [f.level.value for f in found] == ["ok", "warning"]
    assert "kubectl" in found[1].what


@pytest.mark.parametrize(
    ("version", "today", "level"),
    [
        ("1.34", date(2026, 10, 2), "ok"),
        ("1.34", date(2026, 10, 3), "warning"),
        ("1.34", date(2026, 12, 2), "warning"),
        ("1.34", date(2026, 12, 3), "problem"),
        ("1.35", date(2027, 1, 26), "warning"),
        ("1.36", TODAY, "ok"),
        ("1.40", TODAY, "unknown"),
        ("1.33", TODAY, "problem"),
        ("1.28", TODAY, "problem"),
        ("1.9", TODAY, "problem"),
    ],
)
def test_the_end_of_support(version: str, today: date, level: str) -> None:
    assert levels(judge_version(version, "it", today)) == [level]


def test_the_running_version_counts_too(tmp_path: Path) -> None:
    assert levels(examinations.live_support(case(tmp_path, CLUSTER))) == ["warning"]


def test_the_table_of_versions_is_the_labs() -> None:
    ends = {version: known.standard_until.date() for version, known in KUBERNETES.items()}
    assert ends == examinations.SUPPORT_ENDS


class Locked(FakeAws):
    """An account in whose bucket the lock files of these states are."""

    def __init__(self, *states: str) -> None:
        super().__init__()
        self.states = states

    def call(self, service: str, operation: str, **given: Any) -> Any:
        if given["Key"].removesuffix(".tflock") in self.states:
            return {"Body": BytesIO(json.dumps(LOCK).encode())}
        raise refused("NoSuchKey")


def locked(tmp_path: Path, *states: str) -> Case:
    examined = case(tmp_path)
    examined.__dict__["access"] = FakeAccess(Locked(*states), FakeKube())
    return examined


@pytest.mark.parametrize("state", ["default/terraform.tfstate", "default/alarms.tfstate"])
def test_a_lock_of_somebody_else(tmp_path: Path, state: str) -> None:
    (found,) = examinations.state_lock(locked(tmp_path, state))
    assert found.level is Level.WARNING
    assert f"{state} is held by ann@laptop" in found.what
    assert "`chaosctl infra --unlock 4a`" in found.remedy


def test_a_lock_of_a_dead_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaosctl.adapters.terraform_lock.is_stale", lambda *_: True)
    (found,) = examinations.state_lock(locked(tmp_path, "default/terraform.tfstate"))
    assert "died" in found.what


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchBucket"])
def test_no_lock(tmp_path: Path, code: str) -> None:
    assert levels(examinations.state_lock(case(tmp_path, {"get_object": refused(code)}))) == ["ok"]


def test_a_stuck_release(tmp_path: Path) -> None:
    examined = case(tmp_path, CLUSTER)
    labels = {"owner": "helm", "name": "app", "status": "pending-upgrade"}
    secret = {"metadata": {"name": "sh.helm.release.v1.app.v2", "namespace": "shop", "labels": labels}}
    examined.access.kube.put(examinations.SECRETS, secret)  # type: ignore[attr-defined]
    (found,) = examinations.releases(examined)
    assert (found.level, found.what) == (Level.WARNING, "the release shop/app is pending-upgrade")


def test_an_upgrade_that_had_to_be_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undone = RolledBack(5, 4, 6, "2026-11-23T20:00:00+00:00", "no such image")
    monkeypatch.setattr(examinations, "last_rollback", lambda *_: undone)
    (found,) = examinations.releases(case(tmp_path, CLUSTER))
    assert found.level is Level.WARNING
    assert "revision 5 failed" in found.what
    assert "no such image" in found.what


def test_leftovers_without_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "leftovers", lambda *_: [Leftover("VPC", "vpc-1")])
    monkeypatch.setattr(examinations, "deployment", lambda _: None)
    (found,) = examinations.leftovers(case(tmp_path))
    assert "VPC vpc-1" in found.what
    assert list(examinations.leftovers(case(tmp_path, CLUSTER))) == []


def test_an_address_outside() -> None:
    live = {"resourcesVpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": ["192.0.2.0/24"]}}
    closed = {"resourcesVpcConfig": {"endpointPublicAccess": False, "publicAccessCidrs": []}}
    assert levels(address_inside("203.0.113.7", ["192.0.2.0/24"], None)) == ["problem"]
    assert levels(address_inside("203.0.113.7", [], live)) == ["warning"]
    assert levels(address_inside("203.0.113.7", [], closed)) == ["ok"]
    assert levels(address_inside("203.0.113.7", ["203.0.113.0/24"], None)) == ["ok"]


def only(monkeypatch: pytest.MonkeyPatch, *looks: Examination) -> None:
    monkeypatch.setattr(doctor, "EXAMINATIONS", looks)


def test_what_hangs_is_unknown_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    only(monkeypatch, Examination("slow", lambda _: [ok(str(never.wait(30)))]))
    health = examine(case(tmp_path), deadline=0.1)
    never.set()
    assert [d.finding.level for d in health.findings] == [Level.UNKNOWN]
    assert health.seconds < 5


def test_one_cause_is_told_once(tmp_path: Path) -> None:
    health = examine(case(tmp_path, dict.fromkeys(["caller", "describe_cluster", "get_object"], expired())))
    assert [d.check for d in health.findings if d.finding.origin == "AWS-CREDENTIALS"] == ["credentials"]


def test_without_a_target_the_rest_is_examined() -> None:
    health = examine(Case(Settings(), None, TODAY), [Check("mine", lambda: [warning("w", "r")])])
    assert {d.check for d in health.findings} == {"tools", "EKS support", "mine"}


def test_a_bug_in_a_look_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, Examination("broken", lambda _: [ok(str(1 / 0))]))
    with pytest.raises(ZeroDivisionError):
        examine(case(tmp_path))


def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> list[Event]:
    only(monkeypatch, Examination("x", lambda _: findings, "nothing"))
    said: list[Event] = []
    target = Target("fake", "us-west-2", {}, {}, "bucket")
    Doctor().run(Context(Settings(), target, said.append, lambda *_: {}, tmp_path))
    return said


def test_up_looks_at_all_that_doctor_looks_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look(name: str, _: Case | None = None) -> list[Finding]:
        asked.append(name)
        return [ok(name)]

    only(monkeypatch, *(Examination(e.name, partial(look, e.name), e.needs) for e in EXAMINATIONS))
    target = Target("fake", "us-west-2", {}, {}, "bucket", checks=(Check("own", partial(look, "own")),))
    Doctor().run(Context(Settings(), target, lambda _: None, lambda *_: {}, tmp_path))
    assert sorted(asked) == sorted([*(e.name for e in EXAMINATIONS), "own"])


def test_up_goes_on_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert up(tmp_path, monkeypatch, ok("fine"), warning("old", "upgrade")) == [Warned("x: old", "upgrade")]


def test_up_stops_at_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PreconditionFailed) as failure:
        up(tmp_path, monkeypatch, problem("broken", "mend it"), problem("also", "and that"))
    assert failure.value.code == "DOCTOR-FAILED"
    assert failure.value.why == "x: broken\nx: also"
    assert failure.value.remedy == "mend it; and that"


def test_every_look_has_a_name_of_its_own() -> None:
    assert len({e.name for e in EXAMINATIONS}) == len(EXAMINATIONS)


@pytest.mark.parametrize("version", ["1.28", "1.33"])
def test_a_version_whose_support_has_ended_stops_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    only(monkeypatch, *(e for e in EXAMINATIONS if e.name == "EKS support"))
    examined = case(tmp_path, infra=InfraSettings(kubernetes_version=version))
    assert examined.context is not None
    with pytest.raises(PreconditionFailed) as failure:
        Doctor().run(examined.context)
    assert f"infra.kubernetes_version is {version}" in failure.value.why
