"""The app's log lines: from CloudWatch Logs, or from the cluster itself where those are not to be had.

CloudWatch has the lines of pods and nodes that are gone; the cluster has only what kubelets still keep.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from chaosctl.adapters.aws import Aws, AwsRefused
from chaosctl.adapters.kube import Kube
from chaosctl.errors import PreconditionFailed, Unreachable, UsageProblem
from chaosctl.events import Emit, Warned
from chaosctl.stages.access import Access
from chaosctl.stages.stage import Context

EPOCH, MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
POLL = 2.0  # seconds between two looks while following
LATE = 60_000  # milliseconds by which a line may reach CloudWatch later than its successors and still be followed


@dataclass(frozen=True)
class Line:
    """What a container wrote. `id` is the same for a line that was sent to CloudWatch twice."""

    time: str  # RFC 3339, as the container runtime wrote it
    pod: str
    container: str
    stream: str  # stdout or stderr; empty where that is not known
    text: str
    id: str
    milliseconds: int  # since 1970


@dataclass(frozen=True)
class Wanted:
    """Which lines: of pods in `namespace` whose names begin with `pod`, and in whose text `grep` is found."""

    namespace: str
    pod: str = ""
    grep: re.Pattern[str] | None = None

    def matches(self, line: Line) -> bool:
        """Whether a line is one of them; a source has looked at the namespace already."""
        return line.pod.startswith(self.pod) and (self.grep is None or self.grep.search(line.text) is not None)


class Source(Protocol):
    """Where lines come from."""

    name: str

    def lines(self, wanted: Wanted, start: int) -> Iterator[Line]:
        """Lines since `start` (milliseconds since 1970) in the order of their time, those of a moment side by side."""
        ...


class CloudWatch:
    """The log group that Container Insights writes: one event for each line, JSON."""

    name = "cloudwatch"

    def __init__(self, aws: Aws, cluster: str) -> None:
        self._aws = aws
        self.group = f"/aws/containerinsights/{cluster}/application"

    def exists(self) -> bool:
        """Whether there is such a group."""
        found = self._aws.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=self.group)
        return any(group["logGroupName"] == self.group for group in found)

    def lines(self, wanted: Wanted, start: int) -> Iterator[Line]:
        """Page by page; CloudWatch itself looks at namespace and pod."""
        events = self._aws.pages(
            "logs",
            "filter_log_events",
            "events",
            logGroupName=self.group,
            startTime=start,
            filterPattern=_pattern(wanted),
        )
        yield from map(_of_event, events)


class Cluster:
    """What the kubelets keep of the containers that run, and of the run before."""

    name = "cluster"

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def lines(self, wanted: Wanted, start: int) -> Iterator[Line]:
        """Of all containers, sorted."""
        seconds = max(1, round(time.time() - start / 1000))
        found = [
            _of_kubelet(pod.name, container.name, text)
            for pod in self._kube.pods(wanted.namespace)
            if pod.name.startswith(wanted.pod)
            for container in pod.containers
            for text in self._kube.logs_since(pod, container.name, seconds).splitlines()
        ]
        yield from sorted(found, key=lambda line: (line.milliseconds, line.time))


@dataclass(frozen=True)
class Found:
    """The latest lines that were wanted, `earlier` more before them; `repeated` ones were sent twice, and left out."""

    lines: tuple[Line, ...]
    earlier: int
    repeated: int


def source_for(context: Context) -> tuple[Source, str]:
    """Where to look, and why that is not CloudWatch; the reason is empty when it is."""
    access = Access(context)
    if context.target.kubeconfig is not None:
        return Cluster(access.kube), "the target `context` is a cluster without an AWS account"
    cloudwatch = CloudWatch(access.aws, context.settings.cluster_name)
    try:
        if cloudwatch.exists():
            return cloudwatch, ""
        why = f"there is no log group {cloudwatch.group}: container_insights is off, or was never on"
    except (AwsRefused, PreconditionFailed) as error:
        why = f"CloudWatch Logs cannot be asked: {error.why or error.what}"
    return Cluster(access.kube), why


def read(source: Source, wanted: Wanted, start: int, limit: int) -> Found:
    """The last `limit` lines since `start`."""
    latest: deque[Line] = deque(maxlen=limit)
    count, repeated, moment = 0, 0, 0
    seen: set[str] = set()
    for line in source.lines(wanted, start):
        if line.milliseconds != moment:
            moment = line.milliseconds
            seen.clear()  # a line that is repeated has the time that it had
        if line.id in seen:
            repeated += 1
        elif wanted.matches(line):
            latest.append(line)
            count += 1
        seen.add(line.id)
    lines = sorted(latest, key=lambda line: (line.milliseconds, line.time))
    return Found(tuple(lines), count - len(lines), repeated)


def follow(source: Source, wanted: Wanted, start: int, limit: int, emit: Emit) -> Iterator[Line]:
    """The last `limit` lines since `start`, then new ones as they come, without end. Waits for who does not answer.

    Polls: CloudWatch's own live tail drops lines when there are many, ends after three hours, and costs by the minute.
    """
    seen: dict[str, int] = {}
    begun = away = False
    while True:
        try:
            new = _unseen(source, wanted, start, seen)
            yield from new if begun else deque(new, maxlen=limit)
            begun, away = True, False
        except Unreachable as error:
            if not away:
                emit(Warned(f"{error.what}: {error.why}", "nothing, it goes on when there is an answer"))
            away = True
        start = max(start, max(seen.values(), default=0) - LATE)
        for key in [key for key, when in seen.items() if when < start]:
            del seen[key]
        time.sleep(POLL)


def _unseen(source: Source, wanted: Wanted, start: int, seen: dict[str, int]) -> Iterator[Line]:
    for line in source.lines(wanted, start):
        if line.id not in seen:
            seen[line.id] = line.milliseconds
            if wanted.matches(line):
                yield line


def since(text: str) -> int:
    """The moment (milliseconds since 1970) that was 90s, 10m, 1h30m or 2d ago. Raises UsageProblem."""
    parts = re.findall(r"(\d+)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageProblem(
            f"{text} is no time span",
            code="LOGS-SINCE",
            remedy="write it like 90s, 10m, 1h30m or 2d: chaosctl logs --since 1h",
        )
    return int((time.time() - sum(int(number) * UNITS[unit] for number, unit in parts)) * 1000)


def expression(text: str) -> re.Pattern[str]:
    """A compiled regular expression. Raises UsageProblem."""
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageProblem(
            f"{text} is no regular expression",
            code="LOGS-GREP",
            why=str(error),
            remedy="quote what is meant literally with a backslash: chaosctl logs --grep 'GET \\(/probe'",
        ) from error


def _pattern(wanted: Wanted) -> str:
    namespace = f'{{ $.kubernetes.namespace_name = "{wanted.namespace}" }}'
    if not wanted.pod:
        return namespace
    return f'{{ ({namespace[2:-2]}) && ($.kubernetes.pod_name = "{wanted.pod}*") }}'


def _of_event(event: Mapping[str, Any]) -> Line:
    when, message = int(event["timestamp"]), str(event["message"])
    try:
        record = json.loads(message)
        kubernetes = record["kubernetes"]
        pod, container = str(kubernetes["pod_name"]), str(kubernetes["container_name"])
    except (ValueError, TypeError, KeyError):
        return Line(rfc3339(when), "", "", "", message, f"{event['logStreamName']} {message}", when)
    # Only the lab's shipper gives a line a name of its own. The real one writes its time in nanoseconds.
    identifier = record.get("event_id") or f"{event['logStreamName']} {message}"
    spoken = record.get("time") or rfc3339(when)
    return Line(spoken, pod, container, record.get("stream", ""), record.get("log", ""), identifier, when)


def _of_kubelet(pod: str, container: str, line: str) -> Line:
    spoken, _, text = line.partition(" ")
    try:
        when = (datetime.fromisoformat(spoken) - EPOCH) // MILLISECOND
    except (ValueError, TypeError):
        when = 0
    return Line(spoken, pod, container, "", text, f"{pod} {container} {line}", when)


def rfc3339(milliseconds: int) -> str:
    """A moment as 2026-11-23T19:31:35.123Z."""
    return (EPOCH + milliseconds * MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")
