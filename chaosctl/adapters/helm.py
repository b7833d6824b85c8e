"""Helm, through pyhelm3: one asyncio.run per call, its errors translated.

pyhelm3 starts helm through a shell and logs whole command lines, so nothing secret may be an argument: credentials
come from a kubeconfig, values go through stdin. What helm renders may hold Secrets: it is compared, never shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from chaosctl.adapters.kube import WEBHOOK_SILENT, Object, webhook_silent
from chaosctl.errors import ChaosctlError, PreconditionFailed, StageFailed, Unreachable, UsageProblem
from chaosctl.target import ChartSource

T = TypeVar("T")
TIMEOUT = "120s"  # for hooks; readiness is waited for by the stages, which can say what is missing
DIVERTING = ("HELM_KUBE", "HELM_NAMESPACE", "HELM_DRIVER", "HELM_DEBUG")  # variables that begin so
UNREACHABLE = ("cluster unreachable", "connection refused", "no such host", "i/o timeout", "connection reset")


@dataclass(frozen=True)
class Release:
    """One revision of a Helm release. `manifest` and `hooks` are what it rendered; keep them out of logs."""

    name: str
    namespace: str
    revision: int
    status: str  # deployed, failed, pending-install, pending-upgrade, pending-rollback, uninstalling
    manifest: str
    hooks: str

    @property
    def stuck(self) -> bool:
        """A run was interrupted in the middle of it; helm refuses to go on until that is cleared away."""
        return self.status.startswith("pending-") or self.status == "uninstalling"

    def renders_like(self, other: Release) -> bool:
        """Whether both would install the same objects."""
        return (self.manifest.strip(), self.hooks) == (other.manifest.strip(), other.hooks)

    def objects(self) -> list[Object]:
        """The objects of the manifest, those of a List one by one: charts render some, and the API has no such kind."""
        return [o for found in yaml.load_all(self.manifest, Loader=_Loader) for o in _one_by_one(found)]


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """Safe, and in C where that is there."""


class Helm:
    """Helm on one cluster. `prepare` is called before each command: it puts a fresh token where the kubeconfig says."""

    def __init__(
        self, executable: Path, kubeconfig: Path, context: str | None = None, prepare: Callable[[], None] = lambda: None
    ) -> None:
        from pyhelm3 import Command

        logging.getLogger("pyhelm3").setLevel(logging.CRITICAL)  # failures are told once, by the errors raised here
        self._prepare = prepare
        self._command = Command(
            executable=str(executable), kubeconfig=kubeconfig, kubecontext=context, default_timeout=TIMEOUT
        )

    def _run(self, what: str, call: Coroutine[Any, Any, T]) -> T:
        from pyhelm3 import errors

        self._prepare()
        try:
            with _undiverted():
                return asyncio.run(call)
        except errors.Error as error:
            raise _translated(error, what) from error

    def release(self, name: str, namespace: str, revision: int | None = None) -> Release | None:
        """The latest revision, or that one; None when there is none."""
        call = self._command.status(name, namespace=namespace, revision=revision)
        try:
            answer = self._run(f"status of {name}", call)
        except ReleaseMissing:
            return None
        return _release(answer)

    def preview(self, name: str, namespace: str, chart: ChartSource, values: Mapping[str, Any]) -> Release:
        """What `install` would make of the release, rendered against the cluster; nothing is changed."""
        command = ["upgrade", name, chart.ref, "--install", "--dry-run=server", "--output", "json"]
        command += ["--namespace", namespace, "--values", "-"]
        command += ["--repo", chart.repo] if chart.repo else []
        command += ["--version", chart.version] if chart.version else []
        stdin = json.dumps(merged(chart, values)).encode()
        answer = self._run(f"rendering {name}", self._command.run(command, stdin))
        return _release(json.loads(answer[answer.index(b"{") :]))

    def render(self, name: str, namespace: str, chart: ChartSource, values: Mapping[str, Any]) -> Release:
        """What a first install would make, rendered without any cluster."""
        command = ["template", name, chart.ref, "--no-hooks", "--namespace", namespace, "--values", "-"]
        command += ["--repo", chart.repo] if chart.repo else []
        command += ["--version", chart.version] if chart.version else []
        stdin = json.dumps(merged(chart, values)).encode()
        text: bytes = self._run(f"rendering {name}", self._command.run(command, stdin))
        return Release(name, namespace, 0, "absent", text.decode(), "[]")

    def install(self, name: str, namespace: str, chart: ChartSource, values: Mapping[str, Any]) -> Release:
        """Install or upgrade; makes a new revision in any case. Does not wait for readiness."""
        call = self._command.install_or_upgrade(
            name,
            chart.ref,
            merged(chart, values),
            namespace=namespace,
            repo=chart.repo,
            version=chart.version,
            create_namespace=False,
            server_side="true",
            force_conflicts=True,  # a field that somebody edited by hand becomes the chart's again
        )
        return _release(self._run(f"installing {name}", call))

    def rollback(self, name: str, namespace: str, revision: int) -> None:
        """Make a new revision with the content of an earlier one. Does not wait for readiness."""
        command = ["rollback", name, str(revision), "--namespace", namespace, "--timeout", TIMEOUT]
        command += ["--server-side=true", "--force-conflicts"]  # as `install`
        self._run(f"rolling back {name}", self._command.run(command))

    def recover(self, stuck: Release, good: int | None = None) -> str:
        """Clear an interrupted operation away; says what was done: `uninstalled` or `rolled back`.

        `good` is the revision to go back to, when the caller knows one; else the last that helm calls good.
        """
        if stuck.status == "uninstalling" or not (good := good or self._last_good(stuck)):
            self.uninstall(stuck.name, stuck.namespace)
            return "uninstalled"
        self.rollback(stuck.name, stuck.namespace, good)
        return "rolled back"

    def _last_good(self, stuck: Release) -> int | None:
        history = self._run(f"history of {stuck.name}", self._command.history(stuck.name, namespace=stuck.namespace))
        good = [h["revision"] for h in history if h["status"] in ("deployed", "superseded")]
        return max(good, default=None)

    def uninstall(self, name: str, namespace: str) -> bool:
        """Remove a release and its objects. False when it was not there."""
        try:
            self._run(f"uninstalling {name}", self._command.uninstall(name, namespace=namespace))
        except ReleaseMissing:
            return False
        return True

    def test(self, name: str, namespace: str, *, seconds: int = 60) -> str:
        """Run the chart's test hooks; their log. StageFailed when one fails."""
        command = ["test", name, "--namespace", namespace, "--timeout", f"{seconds}s", "--logs"]
        output: bytes = self._run(f"testing {name}", self._command.run(command))
        return output.decode(errors="replace")

    def crds(self, chart: ChartSource) -> list[Object]:
        """The CustomResourceDefinitions in the chart's crds/, which helm itself never upgrades."""
        command = ["show", "crds", chart.ref]
        command += ["--repo", chart.repo] if chart.repo else []
        command += ["--version", chart.version] if chart.version else []
        text = self._run(f"reading the CRDs of {chart.ref}", self._command.run(command))
        return [o for o in yaml.load_all(text, Loader=_Loader) if o]


def _one_by_one(found: Object | None) -> list[Object]:
    if not found:
        return []
    return list(found["items"] or ()) if found["kind"] == "List" else [found]


class ReleaseMissing(StageFailed):
    """Helm knows no release of that name."""


def merged(chart: ChartSource, values: Mapping[str, Any]) -> Object:
    """The target's values in order, then `values` on top, as `helm -f a -f b` merges: maps deep, lists whole."""
    result: Object = {}
    for layer in [*chart.values, values]:
        result = _overlay(result, _values_file(layer) if isinstance(layer, Path) else layer)
    return result


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> Object:
    both = {
        key: _overlay(below[key], above[key])
        for key in below.keys() & above.keys()
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping)
    }
    return {**below, **above, **both}


@contextlib.contextmanager
def _undiverted() -> Iterator[None]:
    """Without the variables by which the user's shell would lead helm to another cluster or namespace.

    pyhelm3 passes our own environment on and nothing else.
    """
    set_aside = {n: os.environ.pop(n) for n in list(os.environ) if n.startswith(DIVERTING)}
    try:
        yield
    finally:
        os.environ.update(set_aside)


def _values_file(path: Path) -> Mapping[str, Any]:
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise _bad_values(path, str(error)) from error
    if not isinstance(values, dict):
        raise _bad_values(path, "it is not a mapping")
    return values


def _bad_values(path: Path, why: str) -> UsageProblem:
    return UsageProblem(
        f"the Helm values in {path} cannot be read", code="VALUES-INVALID", why=why, remedy=f"correct {path}"
    )


def _release(answer: Mapping[str, Any]) -> Release:
    hooks = [{k: h.get(k) for k in ("name", "kind", "path", "events", "manifest")} for h in answer.get("hooks") or ()]
    return Release(
        name=answer["name"],
        namespace=answer["namespace"],
        revision=int(answer["version"]),
        status=answer["info"]["status"],
        manifest=answer.get("manifest", ""),
        hooks=json.dumps(hooks, sort_keys=True),
    )


def _translated(error: Any, what: str) -> ChaosctlError:
    from pyhelm3 import errors

    told = error.stderr.decode(errors="replace").strip()
    why = f"{what}: {told[-2000:]}"
    if isinstance(error, errors.ReleaseNotFoundError):
        return ReleaseMissing("there is no such Helm release", code="HELM-NO-RELEASE", why=why)
    if WEBHOOK_SILENT in told:  # before what it says about the connection, which is the webhook's
        return webhook_silent(why)
    if isinstance(error, errors.ConnectionError) or any(sign in told for sign in UNREACHABLE):
        return Unreachable(
            "helm cannot reach the Kubernetes API",
            code="KUBE-UNREACHABLE",
            why=why,
            remedy="run it again once it answers",
        )
    if isinstance(error, errors.ChartNotFoundError) or ("not found" in told and "chart" in told.lower()):
        return PreconditionFailed(
            "the Helm chart cannot be had", code="HELM-CHART-MISSING", why=why, remedy="check the network, then again"
        )
    if isinstance(error, errors.FailedToRenderChartError) or "don't meet the specifications of the schema" in told:
        return UsageProblem(
            "the chart does not accept these values",
            code="VALUES-INVALID",
            why=why,
            remedy="correct the values it names",
        )
    return StageFailed("helm failed", code="HELM-FAILED", why=why, remedy="correct what it names, then run it again")
