"""The stage that installs the Cluster Autoscaler, where the settings want one: nodes come and go as pods need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl.adapters.kube import DEPLOYMENTS
from chaosctl.config import MirrorSettings
from chaosctl.stages.access import Access
from chaosctl.stages.controller import from_repository, mirrored
from chaosctl.stages.identity import require_association, require_credentials
from chaosctl.stages.readiness import wait_for_rollout
from chaosctl.stages.release import converge
from chaosctl.stages.stage import Context, StageResult
from chaosctl.target import ChartSource

RELEASE = "cluster-autoscaler"  # also its Deployment and its service account
NAMESPACE = "kube-system"
VERSION = "9.59.0"  # of the chart
IMAGE, TAG = "registry.k8s.io/autoscaling/cluster-autoscaler", "v1.36.1"  # of the cluster's minor version
REPOSITORY = "https://kubernetes.github.io/autoscaler"
READY_SECONDS = 180.0


def published(mirrors: MirrorSettings, *values: Path) -> ChartSource:
    """Its own chart and image; from the mirror's chart repository when the settings name one."""
    where = mirrors.charts if mirrors.own_charts else REPOSITORY
    return from_repository(where, RELEASE, VERSION, (*values, *mirrored(mirrors, IMAGE)))


def concerns(context: Context) -> bool:
    """Whether there is anything to do: it is wanted, or it is there from a time when it was."""
    return wanted(context) or Access(context).kube.get(DEPLOYMENTS, RELEASE, NAMESPACE) is not None


def wanted(context: Context) -> bool:
    """Whether the settings want one."""
    return context.settings.infra.node_autoscaling


@dataclass(frozen=True)
class Autoscaler:
    """Installs what adds nodes for pods that do not fit, and takes away those that are hardly used."""

    name: str = "autoscaler"

    def describe(self) -> str:
        """What it is going to do."""
        return "install the Cluster Autoscaler"

    def run(self, context: Context) -> StageResult:
        """Identity, release, pods with credentials. Without infra.node_autoscaling: uninstall it."""
        access = Access(context)
        if not wanted(context):
            gone = remove(access)
            said = "uninstalled" if gone else "not installed"
            return StageResult(gone, f"{said}: infra.node_autoscaling is off", _details(0, 0))
        require_association(access, context, NAMESPACE, RELEASE)
        chart, emit = context.target.charts[RELEASE], context.emit
        installed = converge(access.helm, access.kube, RELEASE, NAMESPACE, chart, values(context), emit)
        pods = wait_for_rollout(access.kube, NAMESPACE, RELEASE, timeout=READY_SECONDS, emit=emit)
        restarted = require_credentials(access.kube, pods, context, NAMESPACE, RELEASE, READY_SECONDS)
        infra = context.settings.infra
        return StageResult(
            installed.changed or restarted,
            f"{RELEASE} keeps {infra.node_min_size} to {infra.node_max_size} nodes",
            _details(installed.release.revision, len(pods)),
        )


def _details(revision: int, pods: int) -> Mapping[str, Any]:
    return {"release": RELEASE, "revision": revision, "pods": pods}


def remove(access: Access) -> bool:
    """Uninstall it; whether it was there. Nodes stay as many as they are."""
    return access.helm.uninstall(RELEASE, NAMESPACE)


def values(context: Context) -> Mapping[str, Any]:
    """Helm values that come from the settings; the target's own file is below them."""
    return {
        "fullnameOverride": RELEASE,
        "autoDiscovery": {"clusterName": context.settings.cluster_name},  # EKS tags the groups of its node groups
        "awsRegion": context.target.region,  # pods cannot ask the metadata service: its hop limit is 1
        "rbac": {"serviceAccount": {"create": True, "name": RELEASE}},
    }
