"""The stage that installs the AWS Load Balancer Controller, and waits until it really serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl.adapters.follow import Follow
from chaosctl.adapters.inventory import ENVIRONMENT_TAG
from chaosctl.adapters.kube import CRDS, ENDPOINT_SLICES, INGRESSES, Kube, Object
from chaosctl.config import MirrorSettings
from chaosctl.errors import StageFailed, Unreachable
from chaosctl.stages.access import Access
from chaosctl.stages.identity import require_association, require_credentials
from chaosctl.stages.readiness import wait_for_rollout
from chaosctl.stages.release import converge
from chaosctl.stages.stage import Context, StageResult
from chaosctl.target import ChartSource
from chaosctl.waiting import TimedOut, wait_until

RELEASE = "aws-load-balancer-controller"  # also its Deployment and its service account
NAMESPACE = "kube-system"
VERSION = "3.5.0"  # of the chart; its own default is the image of the same version
IMAGE = "public.ecr.aws/eks/aws-load-balancer-controller"
WEBHOOK = "aws-load-balancer-webhook-service"
READY_SECONDS, WEBHOOK_SECONDS = 180.0, 60.0
PROBE_INGRESS: Object = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {"name": "chaosctl-webhook-probe", "namespace": "default"},
    "spec": {
        "ingressClassName": "alb",
        "defaultBackend": {"service": {"name": "chaosctl-webhook-probe", "port": {"number": 80}}},
    },
}


def published(mirrors: MirrorSettings, *values: Path) -> ChartSource:
    """The controller's own chart and image, from where the settings say that they are."""
    return from_repository(mirrors.charts, RELEASE, VERSION, (*values, *mirrored(mirrors, IMAGE)))


def from_repository(where: str, name: str, version: str, values: tuple[Path | Mapping[str, Any], ...]) -> ChartSource:
    """A chart of a repository, which may be a registry."""
    where = where.rstrip("/")
    if where.startswith("oci://"):
        return ChartSource(f"{where}/{name}", None, version, values)
    return ChartSource(name, where, version, values)


def mirrored(mirrors: MirrorSettings, image: str) -> tuple[Mapping[str, Any], ...]:
    """Helm values that name the registry of the settings, for charts with image.repository; none without a registry."""
    return ({"image": {"repository": mirrors.image(image)}},) if mirrors.images else ()


@dataclass(frozen=True)
class Controller:
    """Installs the controller that turns Ingresses into load balancers."""

    name: str = "controller"

    def describe(self) -> str:
        """What it is going to do."""
        return "install the AWS Load Balancer Controller, until its webhook answers"

    def run(self, context: Context) -> StageResult:
        """CRDs, identity, release, pods with credentials, webhook: in that order."""
        access = Access(context)
        kube, chart = access.kube, context.target.charts[RELEASE]
        _apply_crds(kube, access.helm.crds(chart), context)
        require_association(access, context, NAMESPACE, RELEASE)
        wanted, helm = values(context, access), access.helm
        # Its own webhook may be asked about its own objects, and answers only once they have brought it back.
        installed = converge(helm, kube, RELEASE, NAMESPACE, chart, wanted, context.emit, patience=READY_SECONDS)
        pods = wait_for_rollout(kube, NAMESPACE, RELEASE, timeout=READY_SECONDS, emit=context.emit)
        restarted = require_credentials(kube, pods, context, NAMESPACE, RELEASE, READY_SECONDS)
        _wait_for_webhook(kube, context)
        release = installed.release
        return StageResult(
            installed.changed or restarted,
            f"{RELEASE} serves, {len(pods)} pods",
            {"release": release.name, "revision": release.revision, "pods": len(pods)},
        )


def values(context: Context, access: Access) -> Mapping[str, Any]:
    """Helm values; why each is needed is told in docs/architecture.md."""
    settings = context.settings
    return {
        "clusterName": settings.cluster_name,
        "region": context.target.region,
        "vpcId": access.cluster.vpc_id,  # pods cannot ask the metadata service: its hop limit is 1
        "serviceAccount": {"create": True, "name": RELEASE},
        "replicaCount": 2,
        "keepTLSSecret": True,  # else every upgrade changes the webhook's certificate under running pods
        "defaultTargetType": "ip",
        "enableServiceMutatorWebhook": False,
        "podDisruptionBudget": {"maxUnavailable": 1},
        "topologySpreadConstraints": [_one_per_node(settings.infra.node_min_size)],
        "enableShield": False,
        "enableWaf": False,
        "enableWafv2": False,
        "defaultTags": tags(context),
    }


def _one_per_node(nodes: int) -> dict[str, Any]:
    """Never both on one node: when that node goes, nobody answers the pods' webhook, and no pod can be made anywhere.

    minDomains keeps the second pod waiting for the next node instead; the template's hash lets a rollout surge.
    """
    return {
        "maxSkew": 1,
        "minDomains": min(2, nodes),
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app.kubernetes.io/name": RELEASE}},
        "matchLabelKeys": ["pod-template-hash"],
    }


def tags(context: Context) -> dict[str, str]:
    """Tags on what the controller makes, as Terraform's default_tags: `down` finds leftovers by them."""
    settings = context.settings
    return {"chaosctl:cluster": settings.cluster_name, ENVIRONMENT_TAG: settings.environment}


def _apply_crds(kube: Kube, crds: list[Object], context: Context) -> None:
    """Helm installs CRDs once and never upgrades them, so they are applied here each time."""
    for crd in crds:
        kube.apply(crd)
    if not crds:
        return

    def established() -> tuple[bool, str]:
        missing = [c["metadata"]["name"] for c in crds if not _established(kube.get(CRDS, c["metadata"]["name"]))]
        return not missing, ", ".join(missing)

    try:
        wait_until(established, "the CRDs to be established", timeout=30, emit=context.emit)
    except TimedOut as late:
        raise StageFailed("the CRDs are not established", code="CRD-NOT-READY", why=late.detail) from None


def _established(crd: Object | None) -> bool:
    conditions = (crd or {}).get("status", {}).get("conditions") or ()
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def _wait_for_webhook(kube: Kube, context: Context) -> None:
    """Its endpoints are ready, and the API server gets an Ingress past it; without that the app's install races."""
    service = f"kubernetes.io/service-name={WEBHOOK}"
    with Follow(kube, ENDPOINT_SLICES, NAMESPACE, labels=service) as slices:

        def answers() -> tuple[bool, str]:
            if not any(_has_ready_endpoint(s) for s in slices.objects()):
                return False, f"no ready endpoint of {WEBHOOK}"
            try:
                kube.create(INGRESSES, PROBE_INGRESS, dry_run=True)
            except (StageFailed, Unreachable) as error:
                return False, error.why
            return True, ""

        try:
            wait_until(answers, "the controller's webhook", timeout=WEBHOOK_SECONDS, emit=context.emit, interval=0.3)
        except TimedOut as late:
            raise StageFailed(
                "the controller's webhook does not admit an Ingress",
                code="WEBHOOK-NOT-READY",
                why=late.detail,
                remedy=f"look at `kubectl -n {NAMESPACE} logs deployment/{RELEASE}`, then run it again",
            ) from None


def _has_ready_endpoint(endpoint_slice: Object) -> bool:
    return any(e.get("conditions", {}).get("ready") for e in endpoint_slice.get("endpoints") or ())
