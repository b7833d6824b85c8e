"""Changing one field of a container in the app's pod template, and putting it back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from chaosctl.adapters.kube import DEPLOYMENTS, Conflict
from chaosctl.chaos.cluster import Cluster, Object, Place
from chaosctl.errors import Refused

ATTEMPTS = 20  # at a change that others are making at the same moment
PAUSE = 0.1  # seconds between two


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
    """Make the change that was written down. Raises Refused (CHAOS-DRIFTED) when the field is another one by now."""
    if said := _exchange(data, cluster, data["original"], data["injected"]):
        raise Refused("the Deployment has changed", code="CHAOS-DRIFTED", why=said, remedy="run it again")


def put_back(data: Mapping[str, Any], cluster: Cluster) -> str:
    """Undo it, unless someone has set the field to something else since."""
    said = _exchange(data, cluster, data["injected"], data["original"])
    return f"nothing to put back: {said}" if said else f"the {_what(data)} is what it was"


def _exchange(data: Mapping[str, Any], cluster: Cluster, old: Any, new: Any) -> str:
    """Set the field if it still is `old`; else say what is there."""
    for attempt in range(ATTEMPTS):
        found = cluster.get(DEPLOYMENTS, data["deployment"], data["namespace"])
        if found is None or found["metadata"]["uid"] != data["uid"]:
            return f"the Deployment {data['deployment']} is gone"
        if next((c.get(data["field"]) for c in _all(found) if c["name"] == data["container"]), None) != old:
            return f"the {_what(data)} is not what was written down"
        try:
            cluster.patch(DEPLOYMENTS, data["deployment"], _patch(found, data, new), data["namespace"])
            break
        except Conflict:  # its controllers write its status all the time
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE)
    return ""


def _patch(found: Object, data: Mapping[str, Any], value: Any) -> Object:
    """A merge patch replaces the list of containers whole: its version makes it a conflict if anyone was faster."""
    containers = [_with(c, data["field"], value) if c["name"] == data["container"] else c for c in _all(found)]
    version = {"resourceVersion": found["metadata"]["resourceVersion"]}
    return {"metadata": version, "spec": {"template": {"spec": {"containers": containers}}}}


def _what(data: Mapping[str, Any]) -> str:
    return f"{data['field']} of the Deployment {data['deployment']}"


def _all(deployment: Object) -> list[Object]:
    found: list[Object] = deployment["spec"]["template"]["spec"]["containers"]
    return found


def _with(container: Object, field: str, value: Any) -> Object:
    rest = {key: kept for key, kept in container.items() if key != field}
    return rest if value is None else {**rest, field: value}
