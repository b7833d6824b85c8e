"""The admission webhooks that the controller serves over TLS."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from chaosctl.lab.standins.controller import model
from chaosctl.lab.standins.controller.cluster import Cluster
from chaosctl.lab.standins.controller.targets import injected
from chaosctl.lab.standins.incluster.health import Quiet
from chaosctl.lab.standins.incluster.journal import log, why
from chaosctl.lab.standins.incluster.kube import Object

Answer = dict[str, Any]
MAX_REVIEW = 8 * 1024 * 1024
HANDSHAKE_SECONDS = 10.0
IDLE_SECONDS = 120.0  # longer than the API server keeps an idle connection (90 s), so that it closes first


def allow(**more: Any) -> Answer:
    """An admission response that lets the object pass."""
    return {"allowed": True, **more}


def with_gates(cluster: Cluster, request: Mapping[str, Any]) -> Answer:
    """Admission of a pod: add the readiness gates of the target groups that it will be in."""
    pod, namespace = request["object"], request["namespace"]
    wanted = injected(
        pod,
        [s for s in cluster.services.objects() if s["metadata"]["namespace"] == namespace],
        [b for b in cluster.bindings.objects() if b["metadata"]["namespace"] == namespace],
    )
    present = pod["spec"].get("readinessGates") or []
    missing = [kind for kind in wanted if kind not in {item["conditionType"] for item in present}]
    if not missing:
        return allow()
    value = [*present, *({"conditionType": kind} for kind in missing)]
    patch = [{"op": "add", "path": "/spec/readinessGates", "value": value}]
    return allow(patchType="JSONPatch", patch=base64.b64encode(json.dumps(patch).encode()).decode())


def checked(is_ours: Callable[[Object], bool], request: Mapping[str, Any]) -> Answer:
    """Admission of an Ingress: refuse what can never become a load balancer."""
    ingress = request["object"]
    if not is_ours(ingress):
        return allow()
    metadata = {"namespace": request["namespace"], "name": request.get("name", ""), **ingress["metadata"]}
    try:
        model.build({**ingress, "metadata": metadata}, model.any_port, "", {})
    except model.BadIngress as error:
        return {"allowed": False, "status": {"code": 400, "reason": "BadRequest", "message": str(error)}}
    warnings = [f"the lab's stand-in for the controller ignores {name}" for name in model.ignored(ingress)]
    return allow(warnings=warnings) if warnings else allow()


Review = Callable[[Mapping[str, Any]], Answer]


class Webhooks:
    """Serves admission reviews by path."""

    def __init__(self, reviews: Mapping[str, Review], certificates: Path, port: int) -> None:
        self._certificates = certificates
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load()
        self._server = _Server(("", port), _review_handler(reviews, self._load_if_changed))
        self._server.context = self._context

    def start(self) -> None:
        """Begin to serve."""
        threading.Thread(target=self._server.serve_forever, name="webhooks", daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    def _load(self) -> None:
        self._stamp = self._changed_at()
        self._context.load_cert_chain(self._certificates / "tls.crt", self._certificates / "tls.key")

    def _changed_at(self) -> float:
        return (self._certificates / "tls.crt").stat().st_mtime

    def _load_if_changed(self) -> None:
        if self._changed_at() != self._stamp:
            self._load()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        """The handshake happens on the connection's own thread: a slow client must not hold up the others."""
        request.settimeout(HANDSHAKE_SECONDS)
        try:
            with self.context.wrap_socket(request, server_side=True) as secured:
                secured.settimeout(IDLE_SECONDS)
                super().finish_request(secured, client_address)
        except OSError as error:
            log("webhook connection failed", level="debug", error=str(error))


def _review_handler(reviews: Mapping[str, Review], before: Callable[[], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(Quiet):
        def do_POST(self) -> None:  # noqa: N802 - http.server's name
            before()
            review = reviews.get(self.path.partition("?")[0])
            length = int(self.headers.get("Content-Length") or 0)
            if review is None or not 0 < length <= MAX_REVIEW:
                self.answer(404, {"error": "no such webhook"})
                return
            request = json.loads(self.rfile.read(length))["request"]
            self.answer(200, _reviewed(review, request))

    return Handler


def _reviewed(review: Review, request: Mapping[str, Any]) -> Answer:
    try:
        response = review(request)
    except Exception as error:  # a bug here must be seen, not time out
        log("webhook failed", level="error", error=str(error), code=why(error)[0])
        response = {"allowed": False, "status": {"code": 500, "message": f"stand-in: {error!r}"}}
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": request["uid"], **response},
    }
