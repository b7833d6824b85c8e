"""Ships what containers write to the log service: group, stream and record as Container Insights' Fluent Bit has them.

The configuration that this follows: https://github.com/aws-observability/helm-charts, charts/
amazon-cloudwatch-observability/values.yaml, application-log.conf and dataplane-log.conf. A record has one member more,
`event_id`: the same for a line that is sent twice, because the shipper or the service was killed between.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Protocol

from chaosctl.lab.shipper import cri
from chaosctl.lab.shipper.cloudwatch import Event, Refused, Unavailable
from chaosctl.lab.shipper.files import Container, LogFile, NodeLogs

log = logging.getLogger(__name__)

PERIOD = 0.5  # seconds between two looks at the files
SLOWEST_RETRY = 5.0  # seconds
READ = 512 * 1024  # bytes of a file at once; more than a record may have
DATAPLANE = ("aws-node", "kube-proxy")  # pods whose logs go into a group of their own

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
MOST_EVENTS, MOST_BYTES, EVENT_BYTES, LONGEST_SPAN = 10_000, 1_048_576, 26, 86_400_000

Metadata = Callable[[Container], dict[str, str]]


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# json.loads and json.dumps would make these for each line.
DECODE = json.JSONDecoder(parse_constant=_no_json).decode
ENCODE = json.JSONEncoder(ensure_ascii=False).encode


class LogService(Protocol):
    """Where events go."""

    def put(self, group: str, stream: str, events: list[Event]) -> int:
        """Send events; how many were not wanted. Raises Unavailable or Refused."""
        ...


class Source:
    """One container on one node: where its records go, and what they have in common."""

    def __init__(self, cluster: str, host: str, container: Container, metadata: dict[str, str]) -> None:
        file = f"{container.pod}_{container.namespace}_{container.name}-{container.id}.log"
        dataplane = container.pod.startswith(DATAPLANE)
        self.group = f"/aws/containerinsights/{cluster}/{'dataplane' if dataplane else 'application'}"
        tag = "dataplane.tail" if dataplane else "application"
        self.stream = f"{host}-{tag}.var.log.containers.{file}"
        self._container = container.id[:12]
        members = {
            "pod_name": container.pod,
            "namespace_name": container.namespace,
            "pod_id": container.pod_id,
            "host": host,
            "pod_ip": metadata.get("pod_ip"),
            "container_name": container.name,
            "docker_id": container.id,
            "container_hash": metadata.get("container_hash"),
            "container_image": metadata.get("container_image"),
        }
        self._kubernetes = json.dumps({name: value for name, value in members.items() if value}, separators=(",", ":"))

    def message(self, record: cri.Record, first: str) -> str:
        """The JSON text of a record of the file that begins at the time `first`."""
        text = ENCODE(record.text)
        processed = f'"log_processed":{record.text.strip()},' if _is_object(record.text) else ""
        return (
            f'{{"time":"{record.time}","stream":"{record.stream}","_p":"{record.tag}","log":{text},'
            f'{processed}"kubernetes":{self._kubernetes},"event_id":"{self._container}-{first}-{record.start}"}}'
        )


class Shipper:
    """All nodes of one cluster. `nodes` gives the directory and the name of each."""

    def __init__(
        self, cluster: str, nodes: Callable[[], Mapping[Path, str]], service: LogService, metadata: Metadata
    ) -> None:
        self._cluster, self._nodes, self._service, self._metadata = cluster, nodes, service, metadata
        self._logs: dict[Path, NodeLogs] = {}
        self._sources: dict[str, Source] = {}
        self._refused: dict[str, str] = {}  # by stream: what was said, so that it is said once
        self._unavailable_since = 0.0  # 0 while all is well

    def run(self, stopping: threading.Event) -> None:
        """Ship until told to stop, then once more what is there."""
        pause = 0.0
        while not stopping.wait(pause):
            try:
                pause = 0.0 if self.once() else PERIOD
                self._available()
            except Unavailable as why:
                pause = min(max(2 * pause, PERIOD), SLOWEST_RETRY)
                self._unavailable(why)
        with suppress(Unavailable):
            while self.once():
                pass

    def once(self) -> bool:
        """Send a batch of each file that has something new; whether there may be more. Raises Unavailable."""
        nodes = self._nodes()
        self._logs = {home: self._logs.get(home) or NodeLogs(home) for home in nodes}
        more, seen = False, set()
        for home, logs in self._logs.items():
            with suppress(FileNotFoundError):  # the node is being made, or removed
                logs.refresh()
                for file in logs.files():
                    seen.add(file.container.id)
                    more = self._ship(nodes[home], logs, file) or more
        self._sources = {key: source for key, source in self._sources.items() if key in seen}
        return more

    def _ship(self, host: str, logs: NodeLogs, file: LogFile) -> bool:
        read = file.read(READ)
        if read is None:
            logs.restart(file)
            return True
        data, quiet = read
        if not data:
            logs.finish(file)
            return False
        source = self._source(host, file.container)
        events, offset = batch(source, file, data, final=quiet)
        if offset == file.offset:
            if quiet:
                logs.finish(file)
            return False
        try:
            unwanted = self._service.put(source.group, source.stream, events) if events else 0
        except Refused as refused:
            self._say_refused(source.stream, str(refused))
            return False
        if unwanted:
            log.error("LOST: %d lines of %s are too old for CloudWatch", unwanted, source.stream)
        self._refused.pop(source.stream, None)
        logs.sent(file, offset)
        return True

    def _source(self, host: str, container: Container) -> Source:
        known = self._sources.get(container.id)
        if known:
            return known
        metadata = self._metadata(container)
        source = Source(self._cluster, host, container, metadata)
        if metadata:  # else it is asked for again
            self._sources[container.id] = source
        return source

    def _say_refused(self, stream: str, said: str) -> None:
        if self._refused.get(stream) != said:
            log.error("%s is refused, and tried again: %s", stream, said)
            self._refused[stream] = said

    def _unavailable(self, why: Unavailable) -> None:
        if not self._unavailable_since:
            self._unavailable_since = time.monotonic()
            log.warning("nothing can be sent; it waits in its files: %s", why)

    def _available(self) -> None:
        if self._unavailable_since:
            log.info("sending again, after %.1f s", time.monotonic() - self._unavailable_since)
            self._unavailable_since = 0.0


def batch(source: Source, file: LogFile, data: bytes, *, final: bool) -> tuple[list[Event], int]:
    """As many events as one request takes, by their time, and the offset behind them."""
    events: list[Event] = []
    offset, size, now = file.offset, 0, int(time.time() * 1000)
    oldest, newest = sys.maxsize, 0
    for records, end in cri.groups(data, file.offset, final=final):
        new = [(record.milliseconds or now, source.message(record, file.key.first)) for record in records]
        more = sum(len(message if message.isascii() else message.encode()) + EVENT_BYTES for _, message in new)
        if more > MOST_BYTES:
            log.error("LOST: a line of %d bytes at %d of %s is too long", end - offset, offset, source.stream)
        else:
            size += more
            oldest, newest = min(oldest, *(when for when, _ in new)), max(newest, *(when for when, _ in new))
            if size > MOST_BYTES or len(events) + len(new) > MOST_EVENTS or newest - oldest > LONGEST_SPAN:
                break
            events += new
        offset = end
    return sorted(events, key=itemgetter(0)), offset


def _is_object(text: str) -> bool:
    """Whether a line is a JSON object. NaN is none, although Python reads it."""
    if not text.startswith("{"):
        return False
    try:
        return isinstance(DECODE(text), dict)
    except ValueError:
        return False
