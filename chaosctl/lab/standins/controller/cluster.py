"""The cluster as the controller sees it (caches) and what it writes there (finalizers, status, conditions, events)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from chaosctl.lab.standins.controller.targets import condition as condition_of
from chaosctl.lab.standins.incluster.journal import log
from chaosctl.lab.standins.incluster.kube import STRATEGIC, Api, ApiError, Cache, Key, Object, key_of

INGRESSES = "/apis/networking.k8s.io/v1"
BINDINGS = "/apis/elbv2.k8s.aws/v1beta1"
CORE = "/api/v1"


def now() -> str:
    """As Kubernetes writes times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def path_of(prefix: str, plural: str, key: Key) -> str:
    """Path of a namespaced object."""
    return f"{prefix}/namespaces/{key[0]}/{plural}/{key[1]}"


class Cluster:
    """Everything that the controller reads and writes in Kubernetes. `changed` is called whenever a cache changes."""

    def __init__(self, api: Api, changed: Callable[[], None]) -> None:
        self.api = api
        self.ingresses = Cache(api, f"{INGRESSES}/ingresses", changed)
        self.services = Cache(api, f"{CORE}/services", changed)
        self.slices = Cache(api, "/apis/discovery.k8s.io/v1/endpointslices", changed)
        self.pods = Cache(api, f"{CORE}/pods", changed)
        self.bindings = Cache(api, f"{BINDINGS}/targetgroupbindings", changed)
        self._caches = (self.ingresses, self.services, self.slices, self.pods, self.bindings)

    def start(self) -> None:
        """Begin to watch."""
        for cache in self._caches:
            cache.start()

    @property
    def synced(self) -> bool:
        """Whether everything has been read once."""
        return all(cache.synced.is_set() for cache in self._caches)

    def slices_of(self, service: Key) -> list[Object]:
        """The EndpointSlices of a Service."""
        label = "kubernetes.io/service-name"
        return [
            part
            for part in self.slices.objects()
            if key_of(part)[0] == service[0] and (part["metadata"].get("labels") or {}).get(label) == service[1]
        ]

    def set_finalizer(self, cache: Cache, path: str, obj: Object, finalizer: str, *, present: bool) -> None:
        """Add or remove a finalizer; a Conflict means that somebody else wrote, and the next pass sees it."""
        finalizers = list(obj["metadata"].get("finalizers") or ())
        if (finalizer in finalizers) == present:
            return
        wanted = [*finalizers, finalizer] if present else [name for name in finalizers if name != finalizer]
        metadata = {"finalizers": wanted, "resourceVersion": obj["metadata"]["resourceVersion"]}
        try:
            answer = self.api.patch(path, {"metadata": metadata})
        except ApiError as error:
            if error.status != 404:
                raise
            return
        if present:
            cache.put(answer)

    def set_condition(self, pod: Object, kind: str, *, true: bool, reason: str, message: str) -> None:
        """Set a condition of a pod's status, unless it says so already."""
        held = condition_of(pod, kind) or {}
        status = "True" if true else "False"
        if held.get("status") == status and held.get("reason", "") == reason:
            return
        since = held["lastTransitionTime"] if held.get("status") == status else now()
        condition = {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {"conditions": [condition]}}
        try:
            path = path_of(CORE, "pods", key_of(pod)) + "/status"
            self.pods.put(self.api.patch(path, body, STRATEGIC))
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or replaced by one of the same name
                raise

    def event(self, kind: str, version: str, obj: Object, *, warning: bool, reason: str, message: str) -> None:
        """Tell those who run `kubectl describe`. Best effort."""
        namespace, name = key_of(obj)
        reference = {"kind": kind, "apiVersion": version, "namespace": namespace, "name": name}
        body = {
            "metadata": {"name": f"{name}.{uuid4().hex[:16]}", "namespace": namespace},
            "involvedObject": {**reference, "uid": obj["metadata"]["uid"]},
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message[:1000],
            "source": {"component": "ingress" if kind == "Ingress" else "targetGroupBinding"},
            "reportingComponent": "chaosctl-stand-in",
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
        }
        try:
            self.api.create(f"{CORE}/namespaces/{namespace}/events", body)
        except ApiError as error:
            log("cannot write an event", level="error", code=error.reason, error=str(error), event=reason)

    def set_hostname(self, ingress: Object, hostname: str) -> None:
        """Put the load balancer's name, or nothing, into the Ingress's status."""
        wanted: Sequence[Mapping[str, Any]] = [{"hostname": hostname}] if hostname else []
        held = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        if [item.get("hostname") for item in held] == [item["hostname"] for item in wanted]:
            return
        path = path_of(INGRESSES, "ingresses", key_of(ingress)) + "/status"
        self.ingresses.put(self.api.patch(path, {"status": {"loadBalancer": {"ingress": wanted}}}))
