"""The Kubernetes API. Objects are plain JSON; its errors leave here as ChaosctlErrors.

The client library reads the kubeconfig and does TLS and credentials; requests are made on its connection pool, since
its generated classes would triple the time to start and drop fields that they do not know.
"""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies

import msgspec
import yaml

from chaosctl.adapters.pod import Pod, read_page
from chaosctl.errors import ChaosctlError, PreconditionFailed, StageFailed, Unreachable, WebhookSilent

Object = dict[str, Any]
Objects = list[Object]
Pods = list[Pod]
T = TypeVar("T")

MANAGER = "chaosctl"  # field manager of what is applied
PAGE = 500  # objects per list request, as in kubectl: of pods, four megabytes
CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
WATCH_SECONDS = 240  # the server ends a watch after this time; it is then begun again
TWO_BUDGETS = "more than one PodDisruptionBudget"  # what Kubernetes says of a pod that it never evicts
WEBHOOK_SILENT = "failed calling webhook"  # in the message of a 500; a webhook that says no is another one


class NotFound(StageFailed):
    """The API answered 404."""


class Conflict(StageFailed):
    """The API answered 409: it exists already, or a precondition (uid, resourceVersion) does not hold."""


class EvictionBlocked(StageFailed):
    """A pod disruption budget does not allow this eviction now."""


class Expired(StageFailed):
    """The API answered 410: the resource version to watch from is too old; list again."""


@dataclass(frozen=True)
class Resource:
    """A kind of object as its URL names it."""

    group: str  # empty for the core group
    version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """URL path of one object, or of the list in `namespace` (None: in all of them)."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
NODES = Resource("", "v1", "nodes", namespaced=False)
PODS = Resource("", "v1", "pods")
SECRETS = Resource("", "v1", "secrets")
EVENTS = Resource("", "v1", "events")
SERVICES = Resource("", "v1", "services")
DEPLOYMENTS = Resource("apps", "v1", "deployments")
JOBS = Resource("batch", "v1", "jobs")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses")
GATEWAYS = Resource("gateway.networking.k8s.io", "v1", "gateways")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices")
DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets")
AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers")
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False)
TARGET_GROUP_BINDINGS = Resource("elbv2.k8s.aws", "v1beta1", "targetgroupbindings")


class Response(Protocol):
    """What is used of a urllib3 response."""

    status: int

    def read(self) -> bytes:
        """The whole body."""

    def stream(self, amt: int) -> Iterator[bytes]:
        """The body in pieces of at most `amt` bytes, as they come."""

    def shutdown(self) -> None:
        """End a read that blocks on another thread."""

    def release_conn(self) -> None:
        """Give the connection back."""


@dataclass
class Kube:
    """One cluster.

    kubeconfig, context  which cluster, as whom (context None: the current one); a str may be several files, as in
                         the variable KUBECONFIG
    token                yields a fresh bearer token and replaces the file's credentials, when given
    """

    kubeconfig: Path | str
    context: str | None = None
    token: Callable[[], str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _client: Any = field(default=None, repr=False)
    _kinds: dict[str, Mapping[str, Resource]] = field(default_factory=dict, repr=False)

    @property
    def server(self) -> str:
        """The URL of the API server, as the kubeconfig names it."""
        return str(self._connected().configuration.host).rstrip("/")

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None when there is none (nor such a kind)."""
        try:
            return self.call("GET", resource.path(namespace, name))
        except NotFound:
            return None

    def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = "") -> Objects:
        """All matching objects, fetched page by page; empty when the kind does not exist."""
        try:
            return self.list_versioned(resource, namespace, labels=labels, fields=fields)[0]
        except NotFound:
            return []

    def list_versioned(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> tuple[Objects, str]:
        """All matching objects, and the resource version from which a watch continues."""
        items: Objects = []
        for page in self._pages(resource, namespace, _selection(labels, fields), _page):
            items += page.get("items") or ()
            version = str(page["metadata"]["resourceVersion"])
        return items, version

    def _pages(
        self,
        resource: Resource,
        namespace: str | None,
        selection: Mapping[str, str],
        read: Callable[[bytes], tuple[T, str]],
    ) -> Iterator[T]:
        """A list, page after page. `read` makes something of a page, and says what asks for the next one, if any."""
        query = {**selection, "limit": str(PAGE)}
        while True:
            page, more = self._understood(read, self._read("GET", resource.path(namespace), query))
            yield page
            if not more:
                return
            query["continue"] = more

    def create(self, resource: Resource, manifest: Object, *, dry_run: bool = False) -> Object:
        """Create an object; Conflict when it exists. With `dry_run` only ask whether it would be admitted."""
        namespace = manifest["metadata"].get("namespace")
        return self.call("POST", resource.path(namespace), _dry(dry_run), manifest)

    def apply(self, manifest: Object, *, manager: str = MANAGER, force: bool = True, dry_run: bool = False) -> Object:
        """Server-side apply of one manifest; `force` takes over fields that others manage."""
        resource = self.resource_of(manifest)
        meta = manifest["metadata"]
        query = {"fieldManager": manager, "force": str(force).lower()} | _dry(dry_run)
        path = resource.path(meta.get("namespace"), meta["name"])
        return self.call("PATCH", path, query, manifest, content_type="application/apply-patch+yaml")

    def patch(self, resource: Resource, name: str, change: Object, namespace: str | None = None) -> Object:
        """JSON merge patch: null removes a field, a list replaces the list."""
        path = resource.path(namespace, name)
        return self.call("PATCH", path, {}, change, content_type="application/merge-patch+json")

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        grace: int | None = None,
    ) -> bool:
        """Ask for deletion; dependents go in the background. False when it was gone already.

        uid    delete only that very object, else Conflict
        grace  seconds until it is killed; None leaves that to the object, 0 forces
        """
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            self.call("DELETE", resource.path(namespace, name), {}, options)
        except NotFound:
            return False
        return True

    def resource_of(self, manifest: Object) -> Resource:
        """The resource of a manifest's kind, by discovery. NotFound when the API server does not serve it."""
        api_version, kind = manifest["apiVersion"], manifest["kind"]
        if kind not in self._kinds.get(api_version, {}):
            self._kinds[api_version] = self._discover(api_version)
        try:
            return self._kinds[api_version][kind]
        except KeyError:
            raise NotFound(
                f"the cluster has no kind {kind} in {api_version}",
                code="KUBE-NO-KIND",
                remedy="install its CustomResourceDefinition first",
            ) from None

    def _discover(self, api_version: str) -> Mapping[str, Resource]:
        group, _, version = api_version.rpartition("/")
        listed = self.call("GET", f"/apis/{api_version}" if group else f"/api/{version}")
        return {
            r["kind"]: Resource(group, version, r["name"], r["namespaced"])
            for r in listed["resources"]
            if "/" not in r["name"]
        }

    def pods(self, namespace: str, labels: str = "") -> Pods:
        """The pods that match a label selector, those that are going away included.

        Of a page only what a Pod keeps stays in memory: ten thousand whole objects are several hundred megabytes.
        """
        found: Pods = []
        for page in self._pages(PODS, namespace, _selection(labels, ""), read_page):
            found += page
        return found

    def ready_pods(self, namespace: str, labels: str = "") -> Pods:
        """The pods that serve: condition Ready is true and nobody has asked for their deletion."""
        return [pod for pod in self.pods(namespace, labels) if pod.ready and not pod.deleting]

    def evict(self, namespace: str, name: str, *, uid: str) -> None:
        """Evict exactly this pod. EvictionBlocked when a disruption budget forbids it, NotFound when it is gone."""
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        self.call("POST", PODS.path(namespace, name) + "/eviction", {}, eviction)

    def logs(self, pod: Pod, container: str = "", *, lines: int = 20, previous: bool = False) -> str:
        """The last lines of a container's log; empty when there is none (yet)."""
        query = {"tailLines": str(lines), "previous": str(previous).lower()}
        if container:
            query["container"] = container
        try:
            return self._read("GET", PODS.path(pod.namespace, pod.name) + "/log", query).decode(errors="replace")
        except (NotFound, StageFailed):
            return ""  # "container is waiting to start" is an HTTP 400

    def may(self, asked: Mapping[str, str], namespace: str) -> bool:
        """Whether we may do `asked` (verb, group, resource, name) there: a SelfSubjectAccessReview."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": namespace, **asked}},
        }
        answer = self.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}, review)
        return bool(answer.get("status", {}).get("allowed"))

    def logs_since(self, pod: Pod, container: str, seconds: int) -> str:
        """What a container wrote in the last `seconds`, this run and the one before; each line begins with its time."""
        query = {"container": container, "timestamps": "true", "sinceSeconds": str(seconds)}
        runs = []
        for previous in ("true", "false"):
            with suppress(NotFound, StageFailed):  # there was no run before, or the container is waiting to start
                path = PODS.path(pod.namespace, pod.name) + "/log"
                runs.append(self._read("GET", path, {**query, "previous": previous}).decode(errors="replace"))
        return "".join(runs)

    def healthy(self) -> bool:
        """Whether the API server says that it is ready. Unreachable when it does not answer at all."""
        try:
            return self._read("GET", "/readyz", {}) == b"ok"
        except StageFailed:
            return False

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request; the JSON of the answer. Raises NotFound, Conflict, Unreachable ... as the API answers."""
        return self._understood(_parsed, self._read(method, path, query or {}, body, content_type))

    def _read(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        response = self.open(method, path, query, body, content_type, READ_SECONDS)
        try:
            return response.read()
        except OSError as error:
            raise self._unreachable(error) from error
        finally:
            response.release_conn()

    def open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Object | None = None,
        content_type: str = "application/json",
        read_seconds: float = WATCH_SECONDS + 30,
    ) -> Response:
        """Send a request and return once the answer's headers are there. For watches; else use `call`."""
        import urllib3

        client = self._connected()
        url = client.configuration.host + path + ("?" + urlencode(query) if query else "")
        headers = {"Accept": "application/json", "User-Agent": "chaosctl"} | self._authorization(client)
        if not _loopback(client.configuration.host):  # there it costs both sides more than it saves
            headers["Accept-Encoding"] = "gzip"
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            response: Response = client.rest_client.pool_manager.request(
                method,
                url,
                headers=headers,
                body=None if body is None else json.dumps(body).encode(),
                preload_content=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
                # A refused connection is tried again for 3 s (an API server that restarts), nothing else. `other` is a
                # TLS handshake that is cut off, as by a load balancer with no server behind it; unset it has no end.
                retries=urllib3.Retry(
                    total=None, connect=4, other=4, read=False, redirect=0, status=0, backoff_factor=0.2
                ),
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        if response.status >= 400:
            raise _refusal(response.status, response.read(), f"{method} {path}")
        return response

    def _authorization(self, client: Any) -> dict[str, str]:
        if self.token:
            return {"Authorization": f"Bearer {self.token()}"}
        settings = client.configuration.auth_settings().values()
        return {s["key"]: s["value"] for s in settings if s.get("in") == "header" and s.get("value")}

    def websocket_access(self) -> tuple[Any, dict[str, str]]:
        """The client library's configuration and the headers for a websocket of its own (adapters/execution.py)."""
        client = self._connected()
        return client.configuration, {k.lower(): v for k, v in self._authorization(client).items()}

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = _connect(self.kubeconfig, self.context)
            return self._client

    def _understood(self, read: Callable[[bytes], T], raw: bytes) -> T:
        """What `read` makes of an answer. Raises Unreachable when that is a page of a proxy, or of a login."""
        try:
            with _collector_paused():
                return read(raw)
        except (ValueError, KeyError) as error:
            raise Unreachable(
                "what answers is not the Kubernetes API",
                code="KUBE-NO-API",
                why=f"{self.server}: {raw[:200].decode(errors='replace')!r} ({error})",
                remedy="look at what answers there, a proxy or a login page; or correct the server in the kubeconfig",
            ) from error

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            "the Kubernetes API does not answer",
            code="KUBE-UNREACHABLE",
            why=f"{self._client.configuration.host}: {error}",
            remedy="see with `chaosctl status` what is there; once it answers again run the same command again",
        )


def _connect(kubeconfig: Path | str, context: str | None) -> Any:
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        config.load_kube_config(str(kubeconfig), context, settings)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        raise PreconditionFailed(
            f"no cluster can be reached with {kubeconfig}" + (f", context {context}" if context else ""),
            code="KUBECONFIG-INVALID",
            why=str(error),
            remedy="see with `kubectl config get-contexts` what there is, or run `chaosctl kubeconfig` again",
        ) from error
    if _loopback(settings.host) and settings.proxy in getproxies().values():
        settings.proxy = None  # as in kubectl: a proxy of the environment is not for this machine itself
    return client.ApiClient(configuration=settings)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """While JSON becomes objects the garbage collector would look at them over and over, and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _parsed(raw: bytes) -> Object:
    return msgspec.json.decode(raw, type=dict[str, Any])


def _page(raw: bytes) -> tuple[Object, str]:
    page = _parsed(raw)
    return page, page["metadata"].get("continue") or ""


def _loopback(url: str) -> bool:
    try:
        return ip_address(urlsplit(url).hostname or "").is_loopback
    except ValueError:
        return urlsplit(url).hostname == "localhost"


def _selection(labels: str, fields: str) -> dict[str, str]:
    return {k: v for k, v in (("labelSelector", labels), ("fieldSelector", fields)) if v}


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def _refusal(status: int, body: bytes, request: str) -> ChaosctlError:
    """The error for an answer with an HTTP status from 400 up; `body` is a Status object, mostly."""
    try:
        parsed = json.loads(body)
        reason, message = parsed.get("reason", ""), parsed.get("message", "")
    except ValueError:
        reason, message = "", body.decode(errors="replace")[:500]
    why = f"{request}: {status} {reason}: {message}"
    if status == 404:
        return NotFound("the cluster has no such object", code="KUBE-NOT-FOUND", why=why)
    if status == 409:
        return Conflict(
            "the object exists already or has changed", code="KUBE-CONFLICT", why=why, remedy="run it again"
        )
    if status == 410:
        return Expired("the watch is too old to continue", code="KUBE-EXPIRED", why=why, remedy="run it again")
    if status == 429 and "/eviction" in request:
        return EvictionBlocked("a disruption budget forbids this eviction", code="KUBE-EVICTION-BLOCKED", why=why)
    if status == 500 and TWO_BUDGETS in message:
        return EvictionBlocked(
            "two disruption budgets forbid this eviction for ever",
            code="KUBE-EVICTION-BLOCKED",
            why=why,
            remedy="leave one PodDisruptionBudget that selects this pod, and delete the others",
        )
    if status in (401, 403):
        return _denied(status, why)
    if status in (429, 502, 503, 504):
        return Unreachable(
            "the Kubernetes API is not ready to serve", code="KUBE-NOT-READY", why=why, remedy="run it again"
        )
    if WEBHOOK_SILENT in message:
        return webhook_silent(why)
    return StageFailed(
        "the Kubernetes API refused a request", code="KUBE-REFUSED", why=why, remedy="correct what it names"
    )


def webhook_silent(why: str) -> WebhookSilent:
    """The error for a request that ended at a webhook which does not answer; `why` as the API server tells it."""
    return WebhookSilent(
        "an admission webhook does not answer",
        code="WEBHOOK-SILENT",
        why=why,
        remedy="run `chaosctl controller`, then see with `kubectl get endpointslices -A` whether its pods serve",
    )


def _denied(status: int, why: str) -> PreconditionFailed:
    if status == 401:
        return PreconditionFailed(
            "the cluster does not accept these credentials",
            code="KUBE-UNAUTHORIZED",
            why=why,
            remedy="see with `kubectl auth whoami` who you are; on EKS check the cluster's access entries",
        )
    return PreconditionFailed(
        "these credentials may not do that in the cluster",
        code="KUBE-FORBIDDEN",
        why=why,
        remedy="ask for more rights in the cluster (on EKS: an access entry), or use other credentials",
    )


def quantity(text: str) -> float:
    """What a quantity of a manifest says: "200m" is 0.2, "64Mi" is 67108864. Raises ValueError."""
    from kubernetes.utils.quantity import parse_quantity

    return float(parse_quantity(text))  # type: ignore[no-untyped-call]


def events(response: Response) -> Iterator[dict[str, Any]]:
    """The events of a watch, one JSON text per line, until the server or `shutdown` ends it."""
    buffer = b""
    try:
        for chunk in response.stream(65536):
            *lines, buffer = (buffer + chunk).split(b"\n")
            yield from (json.loads(line) for line in lines if line)
    except GeneratorExit:
        raise
    except Exception as error:  # urllib3 has a dozen ways to say that the connection broke
        raise Unreachable(
            "the connection to the Kubernetes API broke", code="KUBE-UNREACHABLE", why=str(error), remedy="run it again"
        ) from error
