"""A cluster's API server as its reconcilers need it: read, apply, delete, watch; as administrator, over the gateway."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from chaosctl.errors import StageFailed, Unreachable
from chaosctl.lab.pki import Pki

Object = Mapping[str, Any]

FIELD_MANAGER = "chaosctl-lab"
TIMEOUT = 10.0  # seconds for one request

# What the lab itself puts into clusters: plural and whether it lives in a namespace.
_KINDS = {
    "APIService": ("apiservices", False),
    "ClusterRole": ("clusterroles", False),
    "ClusterRoleBinding": ("clusterrolebindings", False),
    "ConfigMap": ("configmaps", True),
    "Deployment": ("deployments", True),
    "MutatingWebhookConfiguration": ("mutatingwebhookconfigurations", False),
    "Namespace": ("namespaces", False),
    "Pod": ("pods", True),
    "PodDisruptionBudget": ("poddisruptionbudgets", True),
    "Role": ("roles", True),
    "RoleBinding": ("rolebindings", True),
    "Service": ("services", True),
    "ServiceAccount": ("serviceaccounts", True),
}


def path_of(item: Object) -> str:
    """URL path of an object, from its apiVersion, kind and metadata."""
    version = item["apiVersion"]
    plural, namespaced = _KINDS[item["kind"]]
    metadata = item["metadata"]
    scope = f"/namespaces/{metadata['namespace']}" if namespaced else ""
    return f"/{'apis' if '/' in version else 'api'}/{version}{scope}/{plural}/{metadata['name']}"


class KubeApi:
    """One API server; a context manager that holds connections. Safe from any thread.

    Every method raises Unreachable (LAB-API-DOWN) when the server does not answer and StageFailed (LAB-API-REFUSED)
    when it answers with an error, unless stated otherwise.
    """

    def __init__(self, address: str, pki: Pki) -> None:
        admin = pki.pair("admin")
        context = ssl.create_default_context(cafile=str(pki.ca.certificate))
        context.load_cert_chain(admin.certificate, admin.key)
        # The machine's proxy settings are not for the lab.
        self._client = httpx.Client(base_url=f"https://{address}", verify=context, timeout=TIMEOUT, trust_env=False)

    def __enter__(self) -> KubeApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ready(self) -> tuple[bool, str]:
        """Whether the server says that it is ready, and what it says otherwise."""
        try:
            answer = self._client.get("/readyz", timeout=2)
        except httpx.HTTPError as error:
            return False, str(error) or type(error).__name__
        return answer.is_success, answer.text

    def get(self, path: str) -> dict[str, Any] | None:
        """The object or list at `path`, None when there is none."""
        answer = self._request("GET", path)
        return None if answer is None else dict(answer)

    def apply(self, items: Sequence[Object]) -> None:
        """Create or change objects by server-side apply; fields that others own are taken over."""
        for item in items:
            self._request(
                "PATCH",
                path_of(item),
                params={"fieldManager": FIELD_MANAGER, "force": "true"},
                headers={"Content-Type": "application/apply-patch+yaml"},
                content=json.dumps(item),
            )

    def create(self, path: str, item: Object) -> dict[str, Any]:
        """Post an object to a list or a subresource; the answer. A list that is not there is an error too."""
        answer = self._request("POST", path, json=item)
        if answer is None:
            raise StageFailed(
                f"the API server has no {path}",
                code="LAB-API-REFUSED",
                why=f"404 for {item['kind']}",
                remedy="see `chaosctl lab logs` of kube-apiserver",
            )
        return answer

    def delete(self, path: str, *, now: bool = False) -> None:
        """Delete an object; `now` leaves its containers no time. Does nothing when it is gone."""
        self._request("DELETE", path, params={"gracePeriodSeconds": "0"} if now else {})

    def watch(self, path: str, version: str) -> Iterator[dict[str, Any]]:
        """Watch events of the list at `path` since `version`, until the server ends the watch after some minutes."""
        params = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        try:
            # A silent connection is normal, but not for ever: bookmarks come every minute.
            with self._client.stream("GET", path, params=params, timeout=httpx.Timeout(TIMEOUT, read=150)) as answer:
                _check(answer)
                for line in answer.iter_lines():
                    yield json.loads(line)
        except httpx.HTTPError as error:
            raise _unreachable(self._client, error) from error

    def _request(self, method: str, path: str, **arguments: Any) -> dict[str, Any] | None:
        try:
            answer = self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise _unreachable(self._client, error) from error
        if answer.status_code == httpx.codes.NOT_FOUND and method != "PATCH":
            return None
        _check(answer)
        return dict(answer.json())


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    answer.read()
    raise StageFailed(
        f"the API server refused {answer.request.method} {answer.request.url.path}",
        code="LAB-API-REFUSED",
        why=f"{answer.status_code} {answer.text[:1000]}",
        remedy="see `chaosctl lab logs` of kube-apiserver",
    )


def _unreachable(client: httpx.Client, error: httpx.HTTPError) -> Unreachable:
    return Unreachable(
        f"the API server at {client.base_url} does not answer",
        code="LAB-API-DOWN",
        why=str(error) or type(error).__name__,
        remedy="run `chaosctl lab status` to see whether its processes run",
    )
