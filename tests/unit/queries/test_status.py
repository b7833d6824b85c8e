"""The page of `status`, also when parts of what it asks do not answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chaosctl.adapters import acm, cloudwatch, elb, kubeconfig
from chaosctl.adapters.acm import Certificate, Proof
from chaosctl.adapters.aws import Cluster
from chaosctl.adapters.cloudwatch import Alarm
from chaosctl.adapters.elb import LoadBalancer, TargetHealth
from chaosctl.adapters.inventory import Leftover
from chaosctl.cli.status import _blocks, _data
from chaosctl.config import Settings
from chaosctl.errors import ChaosctlError, PreconditionFailed, Unreachable
from chaosctl.events import ignore
from chaosctl.queries import status
from chaosctl.queries.status import Answer, Status, look
from chaosctl.report.runs import Run
from chaosctl.stages import controller
from chaosctl.stages.inquiry import ask
from chaosctl.stages.stage import Context
from chaosctl.target import Target
from chaosctl.ui.render import Report, report_json, report_text
from tests.unit.cli.json_schema import mistakes
from tests.unit.stages.fakes import FakeKube, deployment, pod

CREATED = datetime.now(UTC) - timedelta(hours=10)
CLUSTER = Cluster("chaotic-backend-cluster", "arn", "ACTIVE", "1.36", "https://c", "", "vpc-1", CREATED)
BALANCER = LoadBalancer("arn:lb", "k8s-app", "lb.example", "active", "internet-facing")
HEALTHY = [TargetHealth("arn:tg", f"10.0.0.{n}", 3000, "healthy") for n in range(3)]
OK_ALARM = Alarm("c/5xx", "OK", "", None)
GOOD = Answer("/probe/data", 200, 3.0)
SETTINGS = Settings(namespace="shop", release="web")


def silent() -> Unreachable:
    return Unreachable("the Kubernetes API does not answer", code="KUBE-UNREACHABLE", why="https://c: timed out")


class SilentKube(FakeKube):
    """An API server that is gone."""

    def get(self, *_: Any, **__: Any) -> Any:
        raise silent()

    list = get
    pods = get


def serving() -> FakeKube:
    """A cluster in which all is well."""
    kube = FakeKube()
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.36.3"}}
    kube.objects["/api/v1/nodes/n1"] = {"metadata": {"name": "n1"}, "status": ready}
    served = deployment(controller.RELEASE, readyReplicas=2)
    served["metadata"]["namespace"] = controller.NAMESPACE
    for each in (served, deployment("web", readyReplicas=2)):
        meta = each["metadata"]
        kube.objects[f"/apis/apps/v1/namespaces/{meta['namespace']}/deployments/{meta['name']}"] = each
    kube.objects["/api/v1/namespaces/shop/pods/web-1"] = pod("web-1")
    kube.objects["/apis/networking.k8s.io/v1/namespaces/shop/ingresses/web"] = {
        "metadata": {"name": "web", "namespace": "shop"},
        "status": {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}},
    }
    return kube


def certificate(days: float, status: str = "ISSUED") -> Certificate:
    end = datetime.now(UTC) + timedelta(days=days)
    return Certificate("arn", "x.org", ("x.org",), status, end, renewed=False, proofs=(Proof("_1.x.org.", "_2."),))


@dataclass
class World:
    """What each part of a deployment would answer; an exception is raised."""

    cluster: Any = CLUSTER
    kube: FakeKube = field(default_factory=serving)
    targets: Any = field(default_factory=lambda: list(HEALTHY))
    alarms: Any = (OK_ALARM,)
    certificates: Any = ()
    answer: Answer = GOOD
    left: Any = ()


def told(value: Any) -> Any:
    if isinstance(value, ChaosctlError):
        raise value
    return value


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[World], Status]:
    def run(world: World) -> Status:
        aws = type("Aws", (), {"cluster": lambda self, name: told(world.cluster)})()
        access = type("FakeAccess", (), {"aws": aws, "kube": world.kube})
        monkeypatch.setattr(status, "Access", lambda context: access())
        monkeypatch.setattr(elb, "load_balancers", lambda *_: [BALANCER] if world.cluster else [])
        monkeypatch.setattr(elb, "target_health", lambda *_: told(world.targets))
        monkeypatch.setattr(elb, "certificates", lambda *_: told(world.certificates))
        monkeypatch.setattr(acm, "describe", lambda _, certificate: certificate)
        monkeypatch.setattr(cloudwatch, "alarms", lambda *_: told(world.alarms))
        monkeypatch.setattr(status, "_left", lambda _: tuple(world.left))
        monkeypatch.setattr(status, "_asked", lambda *_: world.answer)
        monkeypatch.setattr(kubeconfig, "files", lambda: [tmp_path / "config"])
        monkeypatch.setattr(kubeconfig, "has", lambda *_: True)
        target = Target("lab", "us-west-2", {}, {}, "bucket")
        return look(Context(SETTINGS, target, ignore, lambda *_: {}, tmp_path))

    return run


Page = Callable[[World], Status]


def text(seen: Status, run: Run | None = None) -> str:
    return report_text(Report({}, tuple(_blocks(seen, run, free=True))))


def test_all_is_well(page: Page) -> None:
    seen = page(World(alarms=[OK_ALARM]))
    assert (seen.healthy, seen.troubles, seen.problems) == (True, [], ())
    assert [state for _, state, _ in seen.stages] == ["done"] * 6
    said = text(seen)
    assert said.startswith("OK")
    assert "http://lb.example" in said and "GET /probe/data: 200 in 3 ms" in said and "Alarms: 1 OK" in said


def test_it_is_all_in_the_json(page: Page) -> None:
    run = Run("20261123-1", "2026-11-23 18:00:00 UTC", "pod-kill", "PASS", Path("journal.jsonl"))
    seen = page(World(alarms=[OK_ALARM], certificates=[certificate(90)]))
    data = json.loads(report_json("status", Report(_data(seen, run))))
    assert mistakes(data) == []
    assert (data["result"]["last_chaos"]["verdict"], data["result"]["healthy"]) == ("PASS", True)


def test_the_last_chaos_is_told_or_that_none_was_run_here(page: Page) -> None:
    run = Run("20261123-1", "2026-11-23 18:00:00 UTC", "pod-kill", "SLO BREACHED", Path("journal.jsonl"))
    assert "Last chaos: SLO BREACHED, pod-kill, 2026-11-23 18:00:00 UTC (20261123-1)" in text(page(World()), run)
    assert "Last chaos: none on this machine" in text(page(World()))


@pytest.mark.parametrize(
    ("world", "said"),
    [
        (World(alarms=[Alarm("c/5xx", "ALARM", "3 datapoints", CREATED)]), "the alarm 5xx fires"),
        (World(targets=[*HEALTHY, TargetHealth("g", "10.0.0.9", 3000, "unhealthy")]), "1 of 4 targets not healthy"),
        (World(answer=Answer("/probe/data", 503, 2.0, "status 503")), "GET /probe/data: status 503"),
        (World(certificates=[certificate(29.5)]), "x.org: it ends on"),
        (World(certificates=[certificate(0, "EXPIRED")]), "the certificate for x.org is EXPIRED"),
    ],
)
def test_what_is_wrong_is_in_the_first_line(page: Page, world: World, said: str) -> None:
    seen = page(world)
    assert not seen.healthy
    assert text(seen).startswith("TROUBLE: ") and said in text(seen)


def test_targets_that_come_and_go_are_no_trouble(page: Page) -> None:
    moving = [TargetHealth("g", "10.0.0.9", 3000, state) for state in ("initial", "draining")]
    assert page(World(targets=[*HEALTHY, *moving])).healthy


def test_without_kubernetes_the_rest_is_shown_and_users_are_asked_for(page: Page) -> None:
    seen = page(World(kube=SilentKube()))
    (problem,) = seen.problems
    assert problem.startswith("nodes, controller, autoscaler, app, pods")
    assert problem.endswith(": the Kubernetes API does not answer: https://c: timed out")
    assert (len(seen.targets), seen.url, seen.answer) == (3, "http://lb.example", GOOD)
    assert {name: state for name, state, _ in seen.stages}["app"] == "unknown"
    assert text(seen).startswith("UNKNOWN") and not seen.healthy


def test_what_one_may_not_see_is_named_and_the_rest_is_shown(page: Page) -> None:
    denied = PreconditionFailed("these AWS credentials may not do that", code="AWS-DENIED", why="cloudwatch")
    seen = page(World(alarms=denied))
    assert seen.problems == ("alarms: these AWS credentials may not do that: cloudwatch",)
    assert len(seen.targets) == 3


def test_without_a_cluster_what_is_left_is_listed(page: Page) -> None:
    missing = PreconditionFailed("there is no EKS cluster", code="CLUSTER-MISSING")

    class NoKube(SilentKube):
        def get(self, *_: Any, **__: Any) -> Any:
            raise missing

        list = get
        pods = get

    nothing = page(World(cluster=None, kube=NoKube()))
    assert (nothing.problems, text(nothing).splitlines()[0]) == ((), "Nothing is deployed.")
    seen = page(World(cluster=None, kube=NoKube(), left=[Leftover("VPC", "vpc-1")]))
    assert seen.troubles == ["what should be gone is still there: 1 things"]


def test_cost_so_far_is_the_share_of_a_month(page: Page) -> None:
    spent = page(World()).spent
    assert spent is not None
    hours = (datetime.now(UTC) - CREATED).total_seconds() / 3600
    assert spent.hours == pytest.approx(hours, abs=0.1)
    assert spent.dollars == pytest.approx(spent.a_month * spent.hours / 730, abs=0.02)


@pytest.mark.parametrize(("minutes", "troubled"), [(2, False), (6, True)])
def test_a_new_alarm_that_has_seen_nothing_yet_is_no_trouble(page: Page, minutes: int, troubled: bool) -> None:
    made = datetime.now(UTC) - timedelta(minutes=minutes)
    alarm = Alarm("c/few-targets", "ALARM", "no datapoints", made + timedelta(seconds=5), changed=made)
    assert page(World(alarms=[alarm])).troubles == (["the alarm few-targets fires"] if troubled else [])


def test_a_new_alarm_that_goes_off_once_it_has_seen_something_is_trouble(page: Page) -> None:
    made = datetime.now(UTC) - timedelta(minutes=3)
    alarm = Alarm("c/few-nodes", "ALARM", "[1, 1]", made + timedelta(seconds=138), changed=made)
    assert page(World(alarms=[alarm])).troubles == ["the alarm few-nodes fires"]


@pytest.mark.parametrize(
    ("period", "made", "since", "troubled"),
    [
        (60, timedelta(minutes=2), timedelta(minutes=2), False),  # just made
        (60, timedelta(minutes=6), timedelta(minutes=6), True),  # never had any
        (60, timedelta(hours=9), timedelta(minutes=1), True),  # had them, and they stopped
        (86400, timedelta(hours=13), timedelta(hours=13), False),  # ACM tells twice a day
        (86400, timedelta(hours=25), timedelta(hours=25), True),
    ],
)
def test_an_alarm_without_data_is_trouble_once_it_should_have_some(
    page: Page, period: int, made: timedelta, since: timedelta, troubled: bool
) -> None:
    now = datetime.now(UTC)
    alarm = Alarm("c/crash-loop", "INSUFFICIENT_DATA", "none", now - since, changed=now - made, period=period)
    seen = page(World(alarms=[alarm, OK_ALARM]))
    assert seen.troubles == (["no data, so that nobody watches: crash-loop"] if troubled else [])
    assert text(seen).startswith("TROUBLE" if troubled else "OK")


def test_without_alarms_the_first_line_says_so(page: Page) -> None:
    seen = page(World(alarms=[]))
    assert text(seen).splitlines()[0] == "TROUBLE: alarms is missing: nobody is told"
    assert "Alarms: none defined" in text(seen)


def test_nobody_waits_for_what_hangs() -> None:
    over = threading.Event()
    outcomes = ask({"hangs": over.wait, "answers": lambda: 1}, deadline=0.2)
    over.set()
    assert outcomes["hangs"].late and not outcomes["hangs"].answered
    assert (outcomes["answers"].answer, outcomes["answers"].answered) == (1, True)


def test_a_bug_in_a_question_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        ask({"broken": lambda: 1 // 0}, deadline=5)


def test_none_is_an_answer() -> None:
    assert ask({"nothing": lambda: None}, deadline=5)["nothing"].answered
