"""The log service as the shipper uses it, with the credentials of Pod Identity, as the pods of the real add-on.

Not boto3: its description of the service takes as much memory as all the rest of the shipper.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

TIMEOUT = 20.0  # seconds for one request
RENEW_BEFORE = 300.0  # seconds before they expire that credentials are renewed
NOT_ACCEPTED = ("ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException")

Event = tuple[int, str]  # milliseconds since 1970, and the message


class Unavailable(Exception):
    """Nothing was taken, or nobody knows: the same again later."""


class Refused(Exception):
    """An answer that the same request would get again. `code` is AWS's name for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class PodIdentity:
    """Credentials of the role of a service account, whose token is traded in; renewed in time."""

    def __init__(self, http: httpx.Client, cluster: str, token: Callable[[], str]) -> None:
        self._http, self._cluster, self._token = http, cluster, token
        self._until = 0.0
        self._credentials: Credentials | None = None

    def current(self) -> Credentials:
        """Credentials that are good for some minutes. Raises Unavailable."""
        if self._credentials is None or time.time() > self._until - RENEW_BEFORE:
            headers = {"Authorization": self._token(), "X-Chaosctl-Cluster": self._cluster}
            said = _answer(self._http, "GET", "/v1/credentials", headers=headers)
            self._until = datetime.fromisoformat(said["Expiration"]).timestamp()
            self._credentials = Credentials(said["AccessKeyId"], said["SecretAccessKey"], said["Token"])
        return self._credentials

    def forget(self) -> None:
        """They were not accepted."""
        self._credentials = None


class CloudWatchLogs:
    """PutLogEvents into streams that are made when they are first needed, and their groups too."""

    def __init__(self, http: httpx.Client, region: str, identity: PodIdentity) -> None:
        self._http, self._region, self._identity = http, region, identity
        self._streams: set[tuple[str, str]] = set()

    def put(self, group: str, stream: str, events: Sequence[Event]) -> int:
        """Send events in the order of their time; how many of them the service did not want for their age.

        Raises Unavailable, or Refused for what it will never take.
        """
        if (group, stream) not in self._streams:
            self._make(group, stream)
        asked = {
            "logGroupName": group,
            "logStreamName": stream,
            "logEvents": [{"timestamp": timestamp, "message": message} for timestamp, message in events],
        }
        try:
            said = self._call("PutLogEvents", asked)
        except Refused as refused:
            if refused.code != "ResourceNotFoundException":
                raise
            self._streams.discard((group, stream))  # somebody removed it: it is made again
            raise Unavailable(str(refused)) from refused
        info = said.get("rejectedLogEventsInfo", {})
        too_old, too_new = info.get("tooOldLogEventEndIndex", 0), info.get("tooNewLogEventStartIndex", len(events))
        return int(too_old + len(events) - too_new)

    def _make(self, group: str, stream: str) -> None:
        name = {"logGroupName": group, "logStreamName": stream}
        if not self._create("CreateLogStream", name):
            self._create("CreateLogGroup", {"logGroupName": group})
            self._create("CreateLogStream", name)
        self._streams.add((group, stream))

    def _create(self, operation: str, asked: dict[str, str]) -> bool:
        """False when the group is not there."""
        try:
            self._call(operation, asked)
        except Refused as refused:
            if refused.code == "ResourceNotFoundException":
                return False
            if refused.code != "ResourceAlreadyExistsException":
                raise
        return True

    def _call(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Logs_20140328.{operation}"}
        request = AWSRequest("POST", f"{self._http.base_url}/", headers, json.dumps(asked).encode())
        SigV4Auth(self._identity.current(), "logs", self._region).add_auth(request)
        try:
            return _answer(self._http, "POST", "/", headers=dict(request.headers), content=request.data)
        except Refused as refused:
            if refused.code not in NOT_ACCEPTED:
                raise
            self._identity.forget()
            raise Unavailable(str(refused)) from refused


def _answer(http: httpx.Client, method: str, path: str, **request: Any) -> dict[str, Any]:
    """The JSON of an answer. Raises Unavailable or Refused."""
    try:
        answer = http.request(method, path, **request)
        said = dict(answer.json()) if answer.content else {}
    except (httpx.HTTPError, ValueError) as error:
        raise Unavailable(str(error) or type(error).__name__) from error
    if answer.is_success:
        return said
    if answer.status_code >= 500 or said.get("__type") in ("ThrottlingException", "ServiceUnavailableException"):
        raise Unavailable(f"{answer.status_code} {said.get('message', '')}")
    if path != "/":
        raise Unavailable(f"no credentials: {said.get('message', answer.status_code)}")  # an association may come
    raise Refused(str(said.get("__type", answer.status_code)), str(said.get("message", "")))
