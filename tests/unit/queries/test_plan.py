"""What `plan` makes of what Terraform and Helm tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaosctl.adapters.aws import AwsRefused, Cluster
from chaosctl.adapters.helm import Release
from chaosctl.adapters.terraform_plan import ResourceChange
from chaosctl.cli.plan import _report
from chaosctl.config import InfraSettings, Settings, TlsSettings
from chaosctl.errors import ExitStatus
from chaosctl.events import ignore
from chaosctl.queries import plan
from chaosctl.queries.plan import Forecast, forecast
from chaosctl.stages import access, alarms, controller, entrance, infra, naming
from chaosctl.stages.stage import Context
from chaosctl.target import ChartSource, Target
from chaosctl.ui.render import report_text
from tests.unit.stages.fakes import FakeKube
from tests.unit.stages.test_release import RELEASE

SECRET = "kind: Secret\napiVersion: v1\nmetadata: {name: web}\ndata: {key: %s}\n"
INGRESS = "kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: web}\n"
ARN = "arn:aws:acm:us-west-2:123456789012:certificate/00000000-0000-0000-0000-000000000000"
CLUSTER = Cluster("c", "arn", "ACTIVE", "1.36", "https://c", "", "vpc-1")


class FakeHelm:
    """Has `current` installed, and would install `wanted`."""

    def __init__(self, current: Release | None, wanted: Release) -> None:
        self.current, self.wanted = current, wanted

    def release(self, *_: Any) -> Release | None:
        return self.current

    def preview(self, *_: Any) -> Release:
        return self.wanted

    render = preview


class FakeAws:
    """A cluster with a node group, or nothing."""

    def __init__(self, there: bool, protected: bool, nodes: int) -> None:
        self.there, self.protected, self.nodes = there, protected, nodes

    def cluster(self, name: str) -> Cluster | None:
        return CLUSTER if self.there else None

    def pages(self, *_: Any, **__: Any) -> list[str]:
        return ["main"] if self.there else []

    def call(self, service: str, operation: str, **_: Any) -> Any:
        if not self.there:
            refused = AwsRefused("refused", code="AWS-REFUSED")
            refused.aws_code = "ResourceNotFoundException"
            raise refused
        tags = {"chaosctl:cluster": "chaotic-backend-cluster", "chaosctl:environment": "default"}
        sizes = {"minSize": 2, "maxSize": 4, "desiredSize": self.nodes}
        return {
            "describe_cluster": {"cluster": {"deletionProtection": self.protected}},
            "describe_nodegroup": {"nodegroup": {"status": "ACTIVE", "tags": tags, "scalingConfig": sizes}},
        }[operation]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Forecast]:
    def run(
        current: Release | None,
        wanted: Release,
        *resources: ResourceChange,
        there: bool = True,
        settings: Settings = Settings(),  # noqa: B008
        protected: bool = False,
        nodes: int = 2,
    ) -> Forecast:
        helm, aws = FakeHelm(current, wanted), FakeAws(there, protected, nodes)
        monkeypatch.setattr(plan, "Helm", lambda *_: helm)
        monkeypatch.setattr(access.Access, "helm", helm)
        monkeypatch.setattr(access.Access, "kube", FakeKube())
        monkeypatch.setattr(Context, "aws", aws)
        monkeypatch.setattr(plan, "drift_of", lambda *_: None)
        monkeypatch.setattr(infra, "examine_infra", lambda _: list(resources))
        monkeypatch.setattr(alarms, "examine", lambda _: [])
        charts = dict.fromkeys((controller.RELEASE, Settings().release), ChartSource("x"))
        target = Target("fake", "us-west-2", {}, charts, "bucket")
        return forecast(Context(settings, target, ignore, lambda *n: dict.fromkeys(n, Path("x")), tmp_path))

    return run


def test_nothing_exists(make: Callable[..., Forecast]) -> None:
    cluster = ResourceChange("aws_eks_cluster.main", "aws_eks_cluster", "create", (), None, {"name": "c"})
    found = make(None, replace(RELEASE, manifest=INGRESS), cluster, there=False)
    assert found.different
    assert [r.action for r in found.releases] == ["install", "install"]
    assert found.before == ()
    assert {i.what for i in found.after} == {"EKS control plane", "load balancer", "its public addresses"}
    assert _report(found, with_diff=True, free=True).status == ExitStatus.DIFFERENT


def test_nothing_would_change(make: Callable[..., Forecast]) -> None:
    same = ResourceChange("aws_eks_cluster.main", "aws_eks_cluster", "no-op", (), {"name": "c"}, {"name": "c"})
    found = make(RELEASE, RELEASE, same)
    assert not found.different
    assert found.before == found.after
    report = _report(found, with_diff=True, free=False)
    assert report.status == ExitStatus.OK
    assert "would change nothing" in report_text(report)


def test_a_secret_that_changes_is_not_shown(make: Callable[..., Forecast]) -> None:
    found = make(replace(RELEASE, manifest=SECRET % "b2xk"), replace(RELEASE, manifest=SECRET % "bmV3"))
    report = _report(found, with_diff=True, free=False)
    text = report_text(report) + str(report.data)
    assert "another one" in text
    assert "b2xk" not in text
    assert "bmV3" not in text


def test_a_hook_that_changes_makes_a_revision(make: Callable[..., Forecast]) -> None:
    found = make(RELEASE, replace(RELEASE, hooks='[{"name": "routes"}]'))
    assert [(o.kind, o.name) for o in found.releases[0].objects] == [("Hook", "routes")]
    assert found.different


def test_a_stuck_release_would_be_recovered(make: Callable[..., Forecast]) -> None:
    found = make(replace(RELEASE, status="pending-upgrade"), RELEASE)
    assert {r.action for r in found.releases} == {"recover"}
    assert found.different


def test_a_failed_release_would_be_installed_again(make: Callable[..., Forecast]) -> None:
    assert make(replace(RELEASE, status="failed"), RELEASE).releases[0].action == "upgrade"


def test_what_is_done_by_request_is_in_it(make: Callable[..., Forecast]) -> None:
    settings = Settings(infra=InfraSettings(deletion_protection=True, node_desired_size=3))
    found = make(RELEASE, RELEASE, settings=settings)
    assert found.different
    assert [(r.object, r.what) for r in found.requests] == [
        ("node group main", "desired size is 2, infra.node_desired_size is 3"),
        ("deletion protection", "is off, infra.deletion_protection is on"),
    ]
    report = _report(found, with_diff=True, free=False)
    assert report.status == ExitStatus.DIFFERENT
    assert "deletion protection" in report_text(report)
    done = make(RELEASE, RELEASE, settings=settings, protected=True, nodes=3)
    assert not done.different


def test_more_nodes_are_in_the_bill(make: Callable[..., Forecast]) -> None:
    group = {"node_group_name": "main", "instance_types": ["t3.medium"], "scaling_config": [{"desired_size": 2}]}
    same = ResourceChange("aws_eks_node_group.main", "aws_eks_node_group", "no-op", (), group, group)
    found = make(RELEASE, RELEASE, same, settings=Settings(infra=InfraSettings(node_desired_size=3)))
    counts = [{i.what: i.count for i in side}["node t3.medium"] for side in (found.before, found.after)]
    assert counts == [2, 3]


def test_a_name_that_would_be_made_and_one_that_would_go(
    make: Callable[..., Forecast], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "astray", lambda *_: "shop.example.com leads nowhere")
    monkeypatch.setattr(entrance, "host_of", lambda _: "old.example.com")
    monkeypatch.setattr(naming, "_is_ours", lambda *_: True)
    settings = Settings(tls=TlsSettings(domain="shop.example.com", zone="example.com", certificate_arn=ARN))
    assert [r.object for r in make(RELEASE, RELEASE, settings=settings).requests] == [
        "DNS name shop.example.com",
        "DNS name old.example.com",
    ]
