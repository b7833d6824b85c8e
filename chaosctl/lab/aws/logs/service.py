"""CloudWatch Logs from the stream down: streams and events. Groups, retention and tags stay in moto.

Requests about events neither take the world's lock, but for a moment, nor count as a change of the lab's AWS: a node
that logs all the time must not have the state saved all the time.
"""

from __future__ import annotations

import base64
import itertools
import json
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.logs.models import logs_backends

from chaosctl.lab.aws.logs.events import Event, EventStore, Group, Position
from chaosctl.lab.aws.logs.patterns import InvalidPattern, Matches, compiled
from chaosctl.lab.aws.world import LOCK
from chaosctl.lab.layout import Layout

log = logging.getLogger(__name__)

TARGET = "Logs_20140328."
SCOPE = re.compile(r"Credential=[^/]+/\d+/([a-z0-9-]+)/logs/")

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
MOST_EVENTS, MOST_BYTES, EVENT_BYTES = 10_000, 1_048_576, 26
OLDEST, NEWEST, LONGEST_SPAN = 14 * 86_400_000, 2 * 3_600_000, 86_400_000  # milliseconds
PAGE_EVENTS, PAGE_BYTES = 10_000, 1 << 20
SCANNED = 50_000  # events that one request looks at: then it answers with what it has, and a token, as AWS does
DAY = 86_400_000
EXPIRE_EVERY = 60.0  # seconds

# moto has these, over events that it does not see here: an empty answer would pass for the truth.
REFUSED = {"StartQuery", "StartLiveTail", "PutSubscriptionFilter", "CreateExportTask", "TestMetricFilter"}

Request = Mapping[str, Any]
Answer = tuple[int, Any]


class Refusal(Exception):
    """An error of the API."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Logs:
    """Answers what concerns streams and events."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._opening = Lock()
        self._opened: EventStore | None = None
        self._operations: Mapping[str, Callable[[str, Request], Any]] = {
            "CreateLogStream": self._create_stream,
            "DeleteLogStream": self._delete_stream,
            "DescribeLogStreams": self._describe_streams,
            "PutLogEvents": self._put,
            "FilterLogEvents": self._filter,
            "GetLogEvents": self._get,
        }

    @property
    def store(self) -> EventStore:
        """The events; the file is made when it is first needed."""
        with self._opening:
            if self._opened is None:
                self._opened = EventStore(self._layout.aws / "logs.db")
            return self._opened

    def answer(self, target: str, authorization: str, body: bytes) -> Answer | None:
        """Status and content for an operation of X-Amz-Target `target`; None for what moto answers."""
        scope = SCOPE.search(authorization)
        if not target.startswith(TARGET) or scope is None:  # a right to another service is none to this
            return None
        operation, region = target.removeprefix(TARGET), scope[1]
        try:
            if operation in REFUSED:
                raise Refusal("UnknownOperationException", f"the lab's AWS lacks {operation}")
            if operation in ("CreateLogGroup", "DeleteLogGroup"):
                self._forget(operation, region, json.loads(body))
            if operation not in self._operations:
                return None
            return 200, self._operations[operation](region, json.loads(body))
        except InvalidPattern as why:
            return _error("InvalidParameterException", f"Invalid filter pattern: {why}")
        except Refusal as refusal:
            return _error(refusal.code, str(refusal))
        except (ValueError, TypeError, KeyError) as error:
            return _error("InvalidParameterException", f"the request cannot be read: {error!r}")

    def expire(self) -> None:
        """Drop what is older than its group's retention says, and what belongs to groups that are gone."""
        now = _now()
        for group in self.store.groups():
            days = _retention(group)
            if days is None:
                self.store.delete_group(group)
            elif days:
                self.store.expire(group, now - days * DAY)

    # --- groups

    def _forget(self, operation: str, region: str, asked: Request) -> None:
        """A group begins empty, and leaves nothing; moto makes and removes it."""
        group = Group(region, str(asked.get("logGroupName", "")))
        if operation == "DeleteLogGroup" or _retention(group) is None:
            self.store.delete_group(group)

    # --- streams

    def _create_stream(self, region: str, asked: Request) -> Any:
        if not self.store.create_stream(_group(region, asked), asked["logStreamName"], _now()):
            raise Refusal("ResourceAlreadyExistsException", "The specified log stream already exists")
        return {}

    def _delete_stream(self, region: str, asked: Request) -> Any:
        if not self.store.delete_stream(_group(region, asked), asked["logStreamName"]):
            raise _no_stream()
        return {}

    def _describe_streams(self, region: str, asked: Request) -> Any:
        group = _group(region, asked)
        found = self.store.streams(group, asked.get("logStreamNamePrefix", ""))
        if asked.get("orderBy") == "LastEventTime":
            found.sort(key=lambda stream: stream.last or 0)
        if asked.get("descending"):
            found.reverse()
        offset, limit = int(asked.get("nextToken") or 0), min(int(asked.get("limit") or 50), 50)
        page = found[offset : offset + limit]
        answer: dict[str, Any] = {"logStreams": [_described(group, vars(stream)) for stream in page]}
        return answer | ({"nextToken": str(offset + limit)} if offset + limit < len(found) else {})

    # --- events

    def _put(self, region: str, asked: Request) -> Any:
        group, events = _group(region, asked), asked["logEvents"]
        _check_batch(events)
        now = _now()
        oldest = now - min(OLDEST, (_retention(group) or 3653) * DAY)
        good = [(e["timestamp"], e["message"]) for e in events if oldest <= e["timestamp"] <= now + NEWEST]
        if not self.store.put(group, asked["logStreamName"], good, now):
            raise _no_stream()
        return {"nextSequenceToken": "0"} | _rejected(events, oldest, now + NEWEST)

    def _filter(self, region: str, asked: Request) -> Any:
        group = _group(region, asked)
        token = asked.get("nextToken")
        names = list(asked.get("logStreamNames") or ())
        if prefix := asked.get("logStreamNamePrefix"):
            names = [stream.name for stream in self.store.streams(group, prefix)] or ["\0"]
        found = self.store.read(group, names, **_window(asked), after=_position(token) if token else None)
        page, last = _page(found, compiled(asked.get("filterPattern") or ""), min(asked.get("limit") or 10_000, 10_000))
        answer: dict[str, Any] = {"events": [_filtered(event) for event in page], "searchedLogStreams": []}
        return answer | ({"nextToken": _token(last)} if last else {})

    def _get(self, region: str, asked: Request) -> Any:
        group, stream = _group(region, asked), asked["logStreamName"]
        if not any(known.name == stream for known in self.store.streams(group, stream)):
            raise _no_stream()
        limit = min(asked.get("limit") or PAGE_EVENTS, PAGE_EVENTS)
        direction, _, token = (asked.get("nextToken") or "").partition("/")
        at = _position(token) if token else None
        window = _window(asked)
        if direction == "b" or (not direction and not asked.get("startFromHead")):
            events = self.store.read(group, [stream], **window)
            page = list(deque(itertools.takewhile(lambda e: at is None or e.position < at, events), maxlen=limit))
        else:
            page = list(itertools.islice(self.store.read(group, [stream], **window, after=at), limit))
        ends = (page[0].position, page[-1].position) if page else (at or Position(0, 0, 0),) * 2
        return {
            "events": [_got(event) for event in page],
            "nextBackwardToken": f"b/{_token(ends[0])}",
            "nextForwardToken": f"f/{_token(ends[1])}",
        }


class Retention:
    """Reconciler of retention: moto never forgets an event by itself."""

    name = "log retention"

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._next = 0.0

    def reconcile(self) -> None:
        """Drop what has expired, once a minute."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EXPIRE_EVERY
            self._logs.expire()


def _now() -> int:
    return int(time.time() * 1000)


def _error(code: str, message: str) -> Answer:
    return 400, {"__type": code, "message": message}


def _no_stream() -> Refusal:
    return Refusal("ResourceNotFoundException", "The specified log stream does not exist.")


def _retention(group: Group) -> int | None:
    """Days for which a group keeps its events, 0 for ever, None when there is no such group."""
    with LOCK:
        found = logs_backends[DEFAULT_ACCOUNT_ID][group.region].groups.get(group.name)
        return None if found is None else int(found.retention_in_days or 0)


def _group(region: str, asked: Request) -> Group:
    name = asked.get("logGroupName") or asked.get("logGroupIdentifier", "")
    group = Group(region, name.removesuffix(":*").rpartition(":log-group:")[2])
    if _retention(group) is None:
        raise Refusal("ResourceNotFoundException", "The specified log group does not exist.")
    return group


def _described(group: Group, stream: Mapping[str, Any]) -> dict[str, Any]:
    times = {
        "creationTime": stream["created"],
        "firstEventTimestamp": stream["first"],
        "lastEventTimestamp": stream["last"],
        "lastIngestionTime": stream["ingested"],
    }
    arn = f"arn:aws:logs:{group.region}:{DEFAULT_ACCOUNT_ID}:log-group:{group.name}:log-stream:{stream['name']}"
    known = {name: value for name, value in times.items() if value is not None}
    return {"logStreamName": stream["name"], "arn": arn, "storedBytes": 0, **known}


def _check_batch(events: list[Any]) -> None:
    times = [event["timestamp"] for event in events]
    if not 1 <= len(events) <= MOST_EVENTS:
        raise Refusal("InvalidParameterException", f"a batch has 1 to {MOST_EVENTS} log events, not {len(events)}")
    if sum(len(event["message"].encode()) + EVENT_BYTES for event in events) > MOST_BYTES:
        raise Refusal("InvalidParameterException", f"Upload too large: the limit is {MOST_BYTES} bytes")
    if any(a > b for a, b in itertools.pairwise(times)):
        raise Refusal(
            "InvalidParameterException",
            "Log events in a single PutLogEvents request must be in chronological order.",
        )
    if times[-1] - times[0] > LONGEST_SPAN:
        raise Refusal("InvalidParameterException", "The events of one request cannot span more than 24 hours")


def _rejected(events: list[Any], oldest: int, newest: int) -> dict[str, Any]:
    old = sum(event["timestamp"] < oldest for event in events)
    new = sum(event["timestamp"] > newest for event in events)
    info = ({"tooOldLogEventEndIndex": old} if old else {}) | (
        {"tooNewLogEventStartIndex": len(events) - new} if new else {}
    )
    return {"rejectedLogEventsInfo": info} if info else {}


def _window(asked: Request) -> dict[str, Any]:
    """startTime and endTime are both part of what is asked for."""
    end = asked.get("endTime")
    return {"start": asked.get("startTime") or 0, "end": None if end is None else end + 1}


def _page(found: Iterator[Event], matches: Matches, limit: int) -> tuple[list[Event], Position | None]:
    """The next events that match, and where the next page begins; None when there is nothing behind."""
    page: list[Event] = []
    size, last = 0, None
    for number, event in enumerate(found):
        if len(page) == limit or size > PAGE_BYTES or number == SCANNED:
            return page, last
        last = event.position
        if matches(event.message):
            page.append(event)
            size += len(event.message) + EVENT_BYTES
    return page, None


def _filtered(event: Event) -> dict[str, Any]:
    identifier = f"{event.position.timestamp:020d}{event.position.batch:020d}{event.position.number:016d}"
    return {"logStreamName": event.stream, "eventId": identifier, **_got(event)}


def _got(event: Event) -> dict[str, Any]:
    return {"timestamp": event.position.timestamp, "message": event.message, "ingestionTime": event.ingested}


def _token(position: Position) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _position(token: str) -> Position:
    try:
        return Position(*map(int, json.loads(base64.urlsafe_b64decode(token))))
    except (ValueError, TypeError):
        raise Refusal("InvalidParameterException", "The specified nextToken is invalid.") from None
