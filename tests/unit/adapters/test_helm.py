from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from chaosctl.adapters.helm import Helm, Release, merged
from chaosctl.errors import (
    ChaosctlError,
    PreconditionFailed,
    StageFailed,
    Unreachable,
    UsageProblem,
    WebhookSilent,
)
from chaosctl.target import ChartSource

CHART = ChartSource("/charts/web")
DEPLOYED = {
    "name": "web",
    "namespace": "shop",
    "version": 3,
    "info": {"status": "deployed"},
    "manifest": "kind: A\n---\nkind: List\nitems:\n- kind: B\n- kind: C\n---\nkind: List\nitems:\n---\n",
    "hooks": [{"name": "t", "events": ["test"], "last_run": {"phase": "Succeeded"}}],
}


class FakeHelm:
    """A program in the place of helm: says what it was told, keeps its arguments and its input."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.path = directory / "helm"
        self.kubeconfig = directory / "kubeconfig"
        self.says(0, json.dumps(DEPLOYED))

    def says(self, status: int, stdout: str = "", stderr: str = "") -> None:
        (self._directory / "out").write_text(stdout)
        (self._directory / "err").write_text(stderr)
        here = self._directory
        self.path.write_text(
            f'#!/bin/sh\necho "$@" >> {here}/calls\ncase "$*" in *"--values -"*) cat > {here}/stdin;; esac\n'
            f"cat {here}/out\ncat {here}/err >&2\nexit {status}\n"
        )
        self.path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return (self._directory / "calls").read_text().splitlines()

    @property
    def stdin(self) -> object:
        return json.loads((self._directory / "stdin").read_text())

    def client(self) -> Helm:
        return Helm(self.path, self.kubeconfig)


@pytest.fixture
def helm(tmp_path: Path) -> FakeHelm:
    return FakeHelm(tmp_path)


def release(**changes: object) -> Release:
    fields: dict[str, object] = {
        "name": "web", "namespace": "shop", "revision": 1, "status": "deployed",
        "manifest": "kind: A\n", "hooks": "[]",
    }  # fmt: skip
    return Release(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_release_is_read(helm: FakeHelm) -> None:
    found = helm.client().release("web", "shop")
    assert found is not None
    assert (found.revision, found.status, [o["kind"] for o in found.objects()]) == (3, "deployed", ["A", "B", "C"])


def test_the_last_test_run_is_no_difference(helm: FakeHelm) -> None:
    first = helm.client().release("web", "shop")
    helm.says(0, json.dumps({**DEPLOYED, "hooks": [{"name": "t", "events": ["test"], "last_run": {"phase": ""}}]}))
    second = helm.client().release("web", "shop")
    assert first and second and first.renders_like(second)


def test_another_manifest_is_a_difference() -> None:
    assert not release().renders_like(release(manifest="kind: C\n"))


def test_no_release_is_none(helm: FakeHelm) -> None:
    helm.says(1, stderr="Error: release: not found")
    assert helm.client().release("web", "shop") is None
    assert not helm.client().uninstall("web", "shop")


def test_values_go_through_stdin_and_never_through_arguments(helm: FakeHelm) -> None:
    helm.client().install("web", "shop", CHART, {"password": "hunter2"})
    assert helm.stdin == {"password": "hunter2"}
    assert "hunter2" not in " ".join(helm.calls)
    assert "--kube-token" not in " ".join(helm.calls)


def test_a_preview_is_rendered_by_the_server_and_survives_noise(helm: FakeHelm) -> None:
    helm.says(0, "Pulled: somewhere\n" + json.dumps(DEPLOYED))
    assert helm.client().preview("web", "shop", CHART, {}).revision == 3
    assert "--dry-run=server" in helm.calls[0]


@pytest.mark.parametrize(
    ("said", "error", "code"),
    [
        ("Error: kubernetes cluster unreachable: dial tcp: connection refused", Unreachable, "KUBE-UNREACHABLE"),
        ('Error: path "/charts/web" not found', PreconditionFailed, "HELM-CHART-MISSING"),
        ("Error: values don't meet the specifications of the schema(s)", UsageProblem, "VALUES-INVALID"),
        ("Error: execution error at (web/x.yaml:1:1): no", UsageProblem, "VALUES-INVALID"),
        ("Error: something else", StageFailed, "HELM-FAILED"),
        ('Error: failed calling webhook "v": connect: connection refused', WebhookSilent, "WEBHOOK-SILENT"),
    ],
)
def test_errors_are_translated(helm: FakeHelm, said: str, error: type[ChaosctlError], code: str) -> None:
    helm.says(1, stderr=said)
    with pytest.raises(error) as caught:
        helm.client().install("web", "shop", CHART, {})
    assert caught.value.code == code
    assert said in caught.value.why


@pytest.mark.parametrize(("status", "stuck"), [("deployed", False), ("failed", False), ("pending-upgrade", True)])
def test_what_is_stuck(status: str, stuck: bool) -> None:
    assert release(status=status).stuck is stuck


def test_a_stuck_first_install_is_uninstalled(helm: FakeHelm) -> None:
    helm.says(0, json.dumps([{"revision": 1, "status": "pending-install"}]))
    assert helm.client().recover(release(status="pending-install")) == "uninstalled"
    assert helm.calls[-1].startswith("uninstall web")


def test_a_stuck_upgrade_is_rolled_back_to_the_last_good_revision(helm: FakeHelm) -> None:
    history = [(1, "superseded"), (2, "deployed"), (3, "failed"), (4, "pending-upgrade")]
    helm.says(0, json.dumps([{"revision": r, "status": s} for r, s in history]))
    assert helm.client().recover(release(status="pending-upgrade", revision=4)) == "rolled back"
    assert helm.calls[-1].startswith("rollback web 2")


def test_the_caller_may_know_better_what_was_good(helm: FakeHelm) -> None:
    assert helm.client().recover(release(status="pending-rollback", revision=6), good=4) == "rolled back"
    assert helm.calls[-1].startswith("rollback web 4")


def test_a_token_is_prepared_before_each_command(helm: FakeHelm) -> None:
    prepared: list[int] = []
    client = Helm(helm.path, helm.kubeconfig, prepare=lambda: prepared.append(1))
    client.release("web", "shop")
    client.release("web", "shop")
    assert len(prepared) == 2


def test_values_merge_as_helm_does(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: {a: 1, b: 2}\nl: [1, 2]\n")
    (tmp_path / "b.yaml").write_text("x: {b: 3}\n")
    chart = ChartSource("c", values=(tmp_path / "a.yaml", tmp_path / "b.yaml"))
    assert merged(chart, {"l": [9], "x": {"c": 4}}) == {"x": {"a": 1, "b": 3, "c": 4}, "l": [9]}


@pytest.mark.parametrize("text", ["a: [", "- a"])
def test_a_values_file_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "v.yaml").write_text(text)
    with pytest.raises(UsageProblem):
        merged(ChartSource("c", values=(tmp_path / "v.yaml",)), {})


def test_the_users_helm_settings_lead_nowhere_else(helm: FakeHelm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM_KUBECONTEXT", "elsewhere")
    text = helm.path.read_text().replace("#!/bin/sh", '#!/bin/sh\n[ -z "$HELM_KUBECONTEXT" ] || exit 9')
    helm.path.write_text(text)
    assert helm.client().release("web", "shop") is not None
    assert os.environ["HELM_KUBECONTEXT"] == "elsewhere"
