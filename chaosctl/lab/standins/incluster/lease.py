"""Only one replica acts: the one that holds the Lease. The others wait, and may answer webhooks meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from chaosctl.lab.standins.incluster.journal import log, why
from chaosctl.lab.standins.incluster.kube import Api, ApiError

LEASE_SECONDS = 8  # how long a leader that died is waited for
RENEW_SECONDS = 2.0


class Lease:
    """Leadership among the replicas. `held` is True only while nobody else can think the same."""

    def __init__(self, api: Api, namespace: str, name: str, identity: str, gained: Callable[[], None]) -> None:
        self._api = api
        self._name = name
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._identity = identity
        self._gained = gained
        self._renewed_at = float("-inf")
        self._seen: tuple[str, float] = ("", 0.0)  # the renew time of another holder, and when we first saw it
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    @property
    def held(self) -> bool:
        """Whether this replica may act now."""
        return time.monotonic() - self._renewed_at < LEASE_SECONDS - RENEW_SECONDS

    def start(self) -> None:
        """Begin to compete."""
        self._thread.start()

    def release(self) -> None:
        """Let the next one begin at once."""
        self._stop.set()
        self._thread.join(5)
        if self.held:
            self._renewed_at = float("-inf")
            self._api.patch(
                f"{self._collection}/{self._name}", {"spec": {"holderIdentity": "", "leaseDurationSeconds": 1}}
            )

    def _run(self) -> None:
        while not self._stop.is_set():
            had = self.held
            try:
                self._compete()
            except Exception as error:  # the API server is away: what is held runs out by itself
                log("cannot renew the lease", level="error", code=why(error)[0], error=str(error))
            if self.held and not had:
                log("this replica leads", identity=self._identity)
                self._gained()
            self._stop.wait(RENEW_SECONDS)

    def _compete(self) -> None:
        asked_at = time.monotonic()  # the lease counts from before the request: the server may have been slow
        try:
            lease = self._api.get(f"{self._collection}/{self._name}")
        except ApiError as error:
            if error.status != 404:
                raise
            self._api.create(self._collection, {"metadata": {"name": self._name}, "spec": self._spec(0)})
            self._renewed_at = asked_at
            return
        if not self._is_free(lease["spec"]):
            return
        transitions = lease["spec"].get("leaseTransitions", 0)
        mine = lease["spec"].get("holderIdentity") == self._identity
        version = {"resourceVersion": lease["metadata"]["resourceVersion"]}
        body = {"metadata": version, "spec": self._spec(transitions + (not mine))}
        try:
            self._api.patch(f"{self._collection}/{self._name}", body)
        except ApiError as error:
            if error.status != 409:  # another one was quicker
                raise
            return
        self._renewed_at = asked_at

    def _is_free(self, spec: dict[str, Any]) -> bool:
        """Ours, released, or not renewed for its whole duration as seen by our own clock."""
        holder, renewed = spec.get("holderIdentity"), str(spec.get("renewTime"))
        if holder in (self._identity, "", None):
            return True
        if self._seen[0] != renewed:
            self._seen = (renewed, time.monotonic())
        return time.monotonic() - self._seen[1] > float(spec.get("leaseDurationSeconds", LEASE_SECONDS))

    def _spec(self, transitions: int) -> dict[str, Any]:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "leaseTransitions": transitions,
        }
