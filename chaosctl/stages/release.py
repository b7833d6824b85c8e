"""Helm releases that are only touched when something would change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaosctl.adapters.helm import Helm, Release
from chaosctl.adapters.kube import Kube, Object
from chaosctl.errors import StageFailed
from chaosctl.events import Emit, Step, Warned
from chaosctl.target import ChartSource
from chaosctl.waiting import heartbeat

HELM_MANAGER = "helm"  # field manager under which Helm 4 applies


@dataclass(frozen=True)
class Installed:
    """What `converge` found or did. `first` is True when nothing was installed before."""

    release: Release
    changed: bool
    first: bool


def converge(
    helm: Helm, kube: Kube, name: str, namespace: str, chart: ChartSource, values: Mapping[str, Any], emit: Emit
) -> Installed:
    """Install or upgrade the release unless it is exactly what it would become; a stuck one is freed first."""
    current = _freed(helm, helm.release(name, namespace), emit)
    if current and current.status == "deployed":
        with heartbeat(f"helm to render {name}", emit):
            wanted = helm.preview(name, namespace, chart, values)
        if reason := _difference(kube, current, wanted):
            emit(Step(f"upgrading {name}: {reason}"))
        else:
            return Installed(current, changed=False, first=False)
    else:
        emit(Step(f"installing {name}"))
    with heartbeat(f"helm to install {name}", emit):
        return Installed(helm.install(name, namespace, chart, values), changed=True, first=current is None)


def _freed(helm: Helm, current: Release | None, emit: Emit) -> Release | None:
    if current is None or not current.stuck:
        return current
    done = helm.recover(current)
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
