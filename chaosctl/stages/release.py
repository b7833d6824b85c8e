"""Helm releases that are only touched when something would change."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaosctl.adapters.helm import Helm, Release
from chaosctl.adapters.kube import Kube, Object
from chaosctl.errors import StageFailed, WebhookSilent
from chaosctl.events import Emit, Step, Warned
from chaosctl.stages.diagnosis import Evidence, causes
from chaosctl.target import ChartSource
from chaosctl.waiting import heartbeat, wait_until

HELM_MANAGER = "helm"  # field manager under which Helm 4 applies


@dataclass(frozen=True)
class Installed:
    """What `converge` found or did."""

    release: Release
    changed: bool


def converge(
    helm: Helm,
    kube: Kube,
    name: str,
    namespace: str,
    chart: ChartSource,
    values: Mapping[str, Any],
    emit: Emit,
    *,
    good: int | None = None,
    patience: float = 0.0,
) -> Installed:
    """Install or upgrade the release unless it is exactly what it would become; a stuck one is freed first.

    `good` is the revision that a stuck one goes back to, when one is known to have served.
    A webhook that does not answer is waited for: for a minute after a node has died, the API server still asks the
    replica that was on it. Raises WebhookSilent when it stays silent, after `patience` seconds at least: more is needed
    by what brings the webhook back itself.
    """

    silent = _Silence(patience)

    def attempt() -> tuple[Installed | None, str]:
        try:
            current = _freed(helm, helm.release(name, namespace), good, emit)
            if silent.heard:  # helm would leave a failed revision behind each time: ask the webhooks alone first
                wanted = helm.preview(name, namespace, chart, values)
                for manifest in wanted.objects():
                    drift_of(kube, wanted, manifest)
            return _converged(helm, kube, current, name, namespace, chart, values, emit), ""
        except WebhookSilent as error:
            silent.bear(error)
            return None, error.why

    return wait_until(attempt, "the webhook to answer", timeout=math.inf, emit=emit, interval=1)


def _converged(
    helm: Helm,
    kube: Kube,
    current: Release | None,
    name: str,
    namespace: str,
    chart: ChartSource,
    values: Mapping[str, Any],
    emit: Emit,
) -> Installed:
    if current and current.status == "deployed":
        with heartbeat(f"helm to render {name}", emit):
            wanted = helm.preview(name, namespace, chart, values)
        with heartbeat(f"the cluster to compare {name}", emit):
            reason = _difference(kube, current, wanted)
        if not reason:
            return Installed(current, changed=False)
        emit(Step(f"upgrading {name}: {reason}"))
    else:
        emit(Step(f"installing {name}"))
    with heartbeat(f"helm to install {name}", emit):
        return Installed(helm.install(name, namespace, chart, values), changed=True)


class _Silence:
    """How long webhooks have not answered."""

    def __init__(self, patience: float) -> None:
        self._since, self._patience = time.monotonic(), patience
        self.heard = False

    def bear(self, error: WebhookSilent) -> None:
        """Do nothing while it may end by itself; raises the error, with the webhook's name, once it will not."""
        self.heard = True
        cause = next(iter(causes(Evidence(errors=[error.why]))), None)
        lasted = time.monotonic() - self._since
        if cause is None:
            raise error
        if lasted < max(self._patience, cause.hopeless_after or 0):
            return
        raise WebhookSilent(
            f"the {cause.object} has not answered for {lasted:.0f} s",
            code=error.code,
            why=error.why,
            remedy=error.remedy,
        ) from error


def _freed(helm: Helm, current: Release | None, good: int | None, emit: Emit) -> Release | None:
    if current is None or not current.stuck:
        return current
    done = helm.recover(current, good)
    emit(Warned(f"an earlier run was interrupted and left the release {current.name} {current.status}: {done}"))
    return helm.release(current.name, current.namespace)


def _difference(kube: Kube, current: Release, wanted: Release) -> str:
    """Why an upgrade is needed, in words; empty when it is not."""
    if not current.renders_like(wanted):
        return "its manifest has changed"
    for manifest in current.objects():
        if drift_of(kube, current, manifest):
            return f"{manifest['kind']} {manifest['metadata']['name']} is missing or was changed by hand"
    return ""


@dataclass(frozen=True)
class Drift:
    """An object that is not as its release made it: what is there (None: nothing), and what should be."""

    kind: str
    name: str
    live: Object | None
    wanted: Object


def drift_of(kube: Kube, release: Release, manifest: Object) -> Drift | None:
    """How helm, applying the manifest again, would change the object in the cluster; None when it would not."""
    resource = kube.resource_of(manifest)
    meta = _owned(manifest["metadata"], release)
    if resource.namespaced:
        meta.setdefault("namespace", release.namespace)
    live = kube.get(resource, meta["name"], meta.get("namespace"))
    if live is None:
        return Drift(manifest["kind"], meta["name"], None, manifest)
    try:
        applied = kube.apply({**manifest, "metadata": meta}, manager=HELM_MANAGER, dry_run=True)
    except StageFailed:
        applied = manifest  # edited so that it cannot even be merged: helm tries, and says what is in the way
    if content(live) == content(applied):
        return None
    return Drift(manifest["kind"], meta["name"], content(live), content(applied))


def _owned(meta: Object, release: Release) -> Object:
    """The metadata with the marks of ownership that helm adds when it applies; they are not in the manifest."""
    annotations = {
        "meta.helm.sh/release-name": release.name,
        "meta.helm.sh/release-namespace": release.namespace,
    }
    return {
        **meta,
        "labels": {**(meta.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"},
        "annotations": {**(meta.get("annotations") or {}), **annotations},
    }


def content(obj: Object) -> Object:
    """An object without what the API server and controllers keep about it."""
    meta = {k: v for k, v in obj["metadata"].items() if k not in ("managedFields", "resourceVersion", "generation")}
    return {key: value for key, value in obj.items() if key != "status"} | {"metadata": meta}
