"""EKS add-ons as plain records, in the form in which the API returns them."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from moto.core.utils import utcnow
from moto.eks.exceptions import InvalidParameterException, ResourceInUseException

from chaosctl.lab.aws.eks.versions import ADDONS, KUBERNETES, addon_versions

if TYPE_CHECKING:
    from chaosctl.lab.aws.eks.models import LabCluster, LabEKSBackend

MEMBERS = ("addonName", "addonVersion", "serviceAccountRoleArn", "configurationValues", "tags")


def create(backend: LabEKSBackend, cluster: LabCluster, asked: dict[str, Any]) -> dict[str, Any]:
    """Add an add-on, CREATING, to the cluster. Raises as EKS does when it exists or is not supported."""
    name = asked["addonName"]
    if name in cluster.addons:
        raise ResourceInUseException(clusterName=cluster.name, addonName=name, message="Addon already exists.")
    supported = addon_versions(name, cluster.version)
    if not supported:
        raise InvalidParameterException(
            clusterName=cluster.name,
            addonName=name,
            message=f"Addon {name} specified is not supported in {cluster.version} kubernetes version",
        )
    version = asked["addonVersion"] or supported[0]
    _check(cluster, name, version, asked["configurationValues"])
    now = utcnow()
    addon = {
        **asked,
        "clusterName": cluster.name,
        "status": "CREATING",
        "addonVersion": version,
        "health": {"issues": []},
        "createdAt": now,
        "modifiedAt": now,
        "addonArn": backend.arn(f"addon/{cluster.name}/{name}/{uuid.uuid4()}"),
        "tags": asked["tags"] or {},
        "podIdentityAssociations": [],
    }
    cluster.addons[name] = addon
    return addon


def update(cluster: LabCluster, addon: dict[str, Any], asked: dict[str, Any]) -> None:
    """Change version, role or configuration; a change of what runs is UPDATING until it was observed."""
    version = asked.get("addonVersion", addon["addonVersion"])
    configuration = asked.get("configurationValues", addon["configurationValues"])
    _check(cluster, addon["addonName"], version, configuration)
    if (version, configuration) != (addon["addonVersion"], addon["configurationValues"]):
        addon["status"] = "UPDATING"
    addon.update(asked, modifiedAt=utcnow())


def _check(cluster: LabCluster, name: str, version: str, configuration: str | None) -> None:
    if version not in addon_versions(name, cluster.version):
        raise InvalidParameterException(
            clusterName=cluster.name, addonName=name, message="Addon version specified is not supported"
        )
    if configuration and configuration_of({"configurationValues": configuration}) is None:
        raise InvalidParameterException(
            clusterName=cluster.name, addonName=name, message="ConfigurationValue provided in request is not supported"
        )


def configuration_of(addon: dict[str, Any]) -> dict[str, Any] | None:
    """The parsed configurationValues; None when they are no JSON object."""
    try:
        parsed = json.loads(addon["configurationValues"] or "{}")
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def drop_associations(cluster: LabCluster, addon: dict[str, Any]) -> None:
    """Remove the Pod Identity associations that belong to the add-on."""
    owned = [key for key, value in cluster.pod_identities.items() if value.get("ownerArn") == addon["addonArn"]]
    for key in owned:
        del cluster.pod_identities[key]
    addon["podIdentityAssociations"] = []


def catalogue(name: str | None, kubernetes: str | None) -> list[dict[str, Any]]:
    """What DescribeAddonVersions returns: all add-ons or one, for all Kubernetes versions or one."""
    clusters = [version for version in KUBERNETES if kubernetes in (None, version)]
    return [
        {
            "addonName": addon,
            "type": "networking",
            "publisher": "eks",
            "owner": "aws",
            "addonVersions": _compatibilities(addon, clusters),
        }
        for addon in ADDONS
        if name in (None, addon)
    ]


def _compatibilities(addon: str, clusters: list[str]) -> list[dict[str, Any]]:
    offered: dict[str, list[dict[str, Any]]] = {}
    for cluster in clusters:
        for rank, version in enumerate(addon_versions(addon, cluster)):
            support = {"clusterVersion": cluster, "platformVersions": ["*"], "defaultVersion": rank == 0}
            offered.setdefault(version, []).append(support)
    return [
        {"addonVersion": version, "architecture": ["amd64", "arm64"], "compatibilities": support}
        for version, support in offered.items()
    ]
