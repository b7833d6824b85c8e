"""A list of Kubernetes objects that stays current: list once, then watch, on a thread."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from chaosctl.adapters.kube import WATCH_SECONDS, Expired, Kube, NotFound, Object, Resource, Response, events
from chaosctl.errors import ChaosctlError

OnEvent = Callable[[str, Object], None]  # type (ADDED, MODIFIED, DELETED) and the object
RETRY_SECONDS = 0.5


def _nothing(kind: str, obj: Object) -> None:
    """An OnEvent that drops everything."""


class Follow:
    """Use as a context manager; on entering the objects are there.

        with Follow(kube, PODS, "shop", labels="app=web") as pods:
            pods.objects()

    `on_event` is called on the watching thread, in order; what existed at the beginning comes as ADDED, and what
    changed during a break of the connection as the events that explain the difference. What it raises is raised again
    by the next use, and when the context ends.
    """

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        on_event: OnEvent = _nothing,
    ) -> None:
        self._kube, self._resource, self._namespace = kube, resource, namespace
        self._labels, self._fields, self._on_event = labels, fields, on_event
        self._objects: dict[str, Object] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._response: Response | None = None
        self._broken: ChaosctlError | None = None
        self._broken_since = 0.0
        self._bug: Exception | None = None  # what ended the thread, though nothing should
        self._thread = threading.Thread(target=self._run, name=f"follow {resource.plural}", daemon=True)

    def objects(self) -> list[Object]:
        """The objects as last heard of, in no particular order."""
        self._raise_bug()
        with self._lock:
            return list(self._objects.values())

    @property
    def broken(self) -> ChaosctlError | None:
        """Why the objects may be out of date at the moment; None while the watch is connected."""
        self._raise_bug()
        return self._broken

    @property
    def broken_seconds(self) -> float:
        """For how long it has been broken; 0 while it is not."""
        return time.monotonic() - self._broken_since if self._broken else 0.0

    def __enter__(self) -> Follow:
        self._version = self._relist()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if response := self._response:
            with contextlib.suppress(Exception):  # it may be closing by itself at this moment
                response.shutdown()
        self._thread.join(timeout=5)
        if error is None:
            self._raise_bug()

    def _raise_bug(self) -> None:
        """A thread that died sees nothing more, and would look as if nothing happened any more."""
        if self._bug is not None:
            raise self._bug

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001 - whoever asks is told
            if not self._stopped.is_set():  # the connection is cut under it then
                self._bug = error

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                self._watch()
            except ChaosctlError as error:
                if self._stopped.is_set():
                    return
                if self._broken is None:
                    self._broken_since = time.monotonic()
                self._broken = error
                self._stopped.wait(RETRY_SECONDS)
                with contextlib.suppress(ChaosctlError):  # still not there: the next round tries again
                    self._version = self._relist()

    def _relist(self) -> str:
        try:
            listed, version = self._kube.list_versioned(
                self._resource, self._namespace, labels=self._labels, fields=self._fields
            )
        except NotFound:  # the kind does not exist (yet)
            listed, version = [], ""
        found = {o["metadata"]["uid"]: o for o in listed}
        for uid in set(self._objects) - set(found):
            self._apply("DELETED", self._objects[uid])
        for uid, obj in found.items():
            self._apply("MODIFIED" if uid in self._objects else "ADDED", obj)
        self._broken = None
        return version

    def _watch(self) -> None:
        selection = {"labelSelector": self._labels, "fieldSelector": self._fields}
        query = {key: value for key, value in selection.items() if value} | {
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        self._response = response = self._kube.open("GET", self._resource.path(self._namespace), query)
        self._broken = None
        if self._stopped.is_set():  # whoever leaves looks for the response after this was set, we the other way round
            response.shutdown()
        try:
            for event in events(response):
                self._handle(event)
        finally:
            response.release_conn()

    def _handle(self, event: dict[str, Any]) -> None:
        kind, obj = event["type"], event["object"]
        if kind == "ERROR":
            raise Expired(
                "the watch ended", code="KUBE-EXPIRED", why=str(obj.get("message", "")), remedy="run it again"
            )
        self._version = obj["metadata"]["resourceVersion"]
        if kind != "BOOKMARK":
            self._apply(kind, obj)

    def _apply(self, kind: str, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        with self._lock:
            known = self._objects.get(uid)
            if kind == "DELETED":
                self._objects.pop(uid, None)
            else:
                self._objects[uid] = obj
        if known is None or kind == "DELETED" or _version(known) != _version(obj):
            self._on_event(kind, obj)


def _version(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))
