"""The little of a Kubernetes client that the stand-ins need: requests, and caches kept current by watches."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from chaosctl.lab.standins.incluster.journal import log

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
TOKEN_SECONDS = 60.0  # the kubelet replaces the token long before it expires; read it again after this time
WATCH_SECONDS = 60

Object = Mapping[str, Any]
Key = tuple[str, str]  # namespace, name


class ApiError(Exception):
    """The API server refused. `reason` is its word for it: NotFound, Conflict, Forbidden, Expired."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


def key_of(obj: Object) -> Key:
    """Namespace (empty for what has none) and name."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Api:
    """Requests to the API server with the pod's own service account."""

    def __init__(self, url: str, token: Callable[[], str], ca_file: str | None) -> None:
        self._url = url
        self._token = token
        self._pool = urllib3.PoolManager(maxsize=16, ca_certs=ca_file, retries=False)

    @classmethod
    def in_cluster(cls, environment: Mapping[str, str]) -> Api:
        """From what every pod with a service account finds in its environment and files."""
        host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
        return cls(f"https://{host}:{port}", TokenFile(ACCOUNT / "token"), str(ACCOUNT / "ca.crt"))

    def request(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Any:
        """One request; returns the parsed answer. Raises ApiError, or urllib3's errors when nobody answers."""
        data = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": content_type}
        timeout = urllib3.Timeout(connect=3, read=15)
        answer = self._pool.request(method, self._url + path, body=data, headers=headers, timeout=timeout)
        parsed = json.loads(answer.data or b"{}")
        if answer.status >= 300:
            raise ApiError(answer.status, parsed.get("reason", ""), parsed.get("message", ""))
        return parsed

    def get(self, path: str) -> Any:
        """Read one object or a list."""
        return self.request("GET", path)

    def create(self, path: str, body: Object) -> Any:
        """Create an object in the collection `path`."""
        return self.request("POST", path, body)

    def patch(self, path: str, body: Object, content_type: str = MERGE) -> Any:
        """Change an object."""
        return self.request("PATCH", path, body, content_type)

    def delete(self, path: str) -> None:
        """Delete an object; fine when it is not there."""
        try:
            self.request("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise

    def watch(self, path: str, version: str) -> Iterator[tuple[str, Any]]:
        """(type, object) of what changes in a collection after `version`, until the server ends it."""
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        headers = {"Authorization": f"Bearer {self._token()}"}
        timeout = urllib3.Timeout(connect=3, read=WATCH_SECONDS + 15)
        url = f"{self._url}{path}?{urlencode(query)}"
        answer = self._pool.request("GET", url, headers=headers, timeout=timeout, preload_content=False)
        try:
            if answer.status >= 300:
                raise ApiError(answer.status, answer.reason or "", f"watch {path}")
            for line in _lines(answer):
                event = json.loads(line)
                yield event["type"], event["object"]
        finally:
            answer.close()


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in answer.read_chunked():
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line)


class TokenFile:
    """A token that the kubelet renews in place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at = float("-inf")
        self._token = ""

    def __call__(self) -> str:
        """The token of now."""
        if time.monotonic() - self._read_at > TOKEN_SECONDS:
            self._token = self._path.read_text().strip()
            self._read_at = time.monotonic()
        return self._token


class Cache:
    """All objects of one collection, by namespace and name, kept current by a thread."""

    def __init__(self, api: Api, path: str, changed: Callable[[], None]) -> None:
        self.synced = threading.Event()
        self._api = api
        self._path = path
        self._changed = changed
        self._objects: dict[Key, Object] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._run, name=f"watch {self._path}", daemon=True).start()

    def objects(self) -> list[Object]:
        """All of them, as they are now."""
        with self._lock:
            return list(self._objects.values())

    def get(self, key: Key) -> Object | None:
        """One of them."""
        with self._lock:
            return self._objects.get(key)

    def put(self, obj: Object) -> None:
        """What a request of our own has answered: no need to wait for the watch to say it."""
        with self._lock:
            self._objects[key_of(obj)] = obj

    def _run(self) -> None:
        version = ""
        while True:
            try:
                version = version or self._list()
                version = self._follow(version)
            except ApiError as error:
                if error.status != 410:
                    log("cannot watch", level="error", path=self._path, code=error.reason, error=str(error))
                    time.sleep(1)
                version = ""
            except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
                log("cannot watch", level="error", path=self._path, error=str(error))
                time.sleep(0.5)

    def _list(self) -> str:
        answer = self._api.get(self._path)
        with self._lock:
            self._objects = {key_of(item): item for item in answer["items"]}
        self.synced.set()
        self._changed()
        return str(answer["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> str:
        for kind, obj in self._api.watch(self._path, version):
            if kind == "ERROR":
                raise ApiError(obj.get("code", 500), obj.get("reason", ""), obj.get("message", ""))
            version = obj["metadata"]["resourceVersion"]
            if kind != "BOOKMARK":
                self._note(kind, obj)
        return version

    def _note(self, kind: str, obj: Object) -> None:
        with self._lock:
            if kind == "DELETED":
                self._objects.pop(key_of(obj), None)
            else:
                self._objects[key_of(obj)] = obj
        self._changed()
