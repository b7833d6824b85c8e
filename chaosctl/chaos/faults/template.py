"""Changing one field of a container in the app's pod template, and putting it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaosctl.adapters.kube import DEPLOYMENTS
from chaosctl.chaos.cluster import Cluster, Object, Place


def container(deployment: Object) -> Object:
    """The first container of the template: the app's own."""
    found: Object = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def change(deployment: Object, place: Place, field: str, injected: Any) -> dict[str, Any]:
    """What is to be written down before `field` of the container becomes `injected`."""
    own = container(deployment)
    return {
        "namespace": place.namespace,
        "deployment": deployment["metadata"]["name"],
        "uid": deployment["metadata"]["uid"],
        "container": own["name"],
        "field": field,
        "original": own.get(field),
        "injected": injected,
    }


def make(data: Mapping[str, Any], cluster: Cluster) -> None:
    """Make the change that was written down."""
    _set(data, cluster, data["injected"])


def put_back(data: Mapping[str, Any], cluster: Cluster) -> str:
    """Undo it, unless someone has set the field to something else since."""
    found = cluster.get(DEPLOYMENTS, data["deployment"], data["namespace"])
    what = f"{data['field']} of the Deployment {data['deployment']}"
    if found is None or found["metadata"]["uid"] != data["uid"]:
        return f"nothing to put back: the Deployment {data['deployment']} is gone"
    if container(found).get(data["field"]) != data["injected"]:
        return f"nothing to put back: the {what} is not what was injected"
    _set(data, cluster, data["original"])
    return f"the {what} is what it was"


def _set(data: Mapping[str, Any], cluster: Cluster, value: Any) -> None:
    found = cluster.get(DEPLOYMENTS, data["deployment"], data["namespace"])
    if found is None:
        return
    containers = [_with(c, data["field"], value) if c["name"] == data["container"] else c for c in _all(found)]
    # The version makes it a conflict if anyone else changes the list in between: a merge patch replaces it whole.
    version = {"resourceVersion": found["metadata"]["resourceVersion"]}
    change = {"metadata": version, "spec": {"template": {"spec": {"containers": containers}}}}
    cluster.patch(DEPLOYMENTS, data["deployment"], change, data["namespace"])


def _all(deployment: Object) -> list[Object]:
    found: list[Object] = deployment["spec"]["template"]["spec"]["containers"]
    return found


def _with(container: Object, field: str, value: Any) -> Object:
    rest = {key: kept for key, kept in container.items() if key != field}
    return rest if value is None else {**rest, field: value}
