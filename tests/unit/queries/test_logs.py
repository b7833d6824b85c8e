from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaosctl.errors import PreconditionFailed, Unreachable, UsageProblem
from chaosctl.events import Event, Warned, ignore
from chaosctl.queries import logs
from chaosctl.queries.logs import CloudWatch, Cluster, Line, Wanted, expression, follow, read, since, source_for

NOW = 1_800_000_000_000
SHOP = Wanted("shop")


def line(text: str, at: int = 0, *, pod: str = "web-1", id: str = "") -> Line:
    return Line(logs.rfc3339(NOW + at), pod, "web", "stdout", text, id or f"{pod} {text} {at}", NOW + at)


@dataclass
class FakeSource:
    """What each look finds, the last one again and again; an exception is raised."""

    looks: list[list[Line] | Exception]
    starts: list[int] = field(default_factory=list)
    name: str = "fake"

    def lines(self, wanted: Wanted, start: int) -> Iterator[Line]:
        self.starts.append(start)
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, Exception):
            raise look
        yield from (line for line in look if line.milliseconds >= start)


class FakeAws:
    def __init__(self, *events: tuple[int, str]) -> None:
        self.events = [{"timestamp": at, "message": message, "logStreamName": "s"} for at, message in events]
        self.asked: dict[str, Any] = {}

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Any:
        self.asked = arguments
        return iter(self.events)


def texts(lines: Any) -> list[str]:
    return [line.text for line in lines]


def test_the_last_lines_are_read_and_the_others_counted() -> None:
    found = read(FakeSource([[line(str(n), n) for n in range(5)]]), SHOP, 0, 2)
    assert (texts(found.lines), found.earlier, found.repeated) == (["3", "4"], 3, 0)


def test_a_line_that_was_sent_twice_is_shown_once() -> None:
    twice = [line("a", 1, id="x"), line("b", 1), line("a", 1, id="x"), line("a", 2, id="y")]
    found = read(FakeSource([twice]), SHOP, 0, 10)
    assert (texts(found.lines), found.repeated) == (["a", "b", "a"], 1)


def test_lines_of_one_millisecond_are_in_the_order_of_their_nanoseconds() -> None:
    late = Line("2027-01-15T08:00:00.000900000Z", "web-1", "web", "", "late", "1", NOW)
    early = Line("2027-01-15T08:00:00.000100000Z", "web-2", "web", "", "early", "2", NOW)
    assert texts(read(FakeSource([[late, early]]), SHOP, 0, 10).lines) == ["early", "late"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted("shop", "web-2"), ["b"]),
        (Wanted("shop", grep=re.compile("^[ab]$")), ["a", "b"]),
        (Wanted("shop", "web", re.compile("c")), ["ccc"]),
    ],
)
def test_pod_and_text_are_looked_at(wanted: Wanted, expected: list[str]) -> None:
    lines = [line("a"), line("b", pod="web-2"), line("ccc", pod="web-3"), line("ccc", pod="db-1")]
    assert texts(read(FakeSource([lines]), wanted, 0, 10).lines) == expected


def taken(lines: Iterator[Line], count: int) -> list[str]:
    return [next(lines).text for _ in range(count)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "POLL", 0)


def test_following_shows_each_line_once_and_late_ones_too() -> None:
    a, b, c = line("a", 1), line("b", 30_000), line("late", 2)
    source = FakeSource([[a], [a, b], [a, c, b]])
    assert taken(follow(source, SHOP, NOW, 10, ignore), 3) == ["a", "b", "late"]


def test_following_begins_with_the_last_lines_and_never_shows_the_others() -> None:
    old = [line(str(n), n) for n in range(5)]
    source = FakeSource([old, [*old, line("new", 10)]])
    assert taken(follow(source, SHOP, NOW, 2, ignore), 3) == ["3", "4", "new"]


def test_following_forgets_what_is_too_old_to_come_again() -> None:
    source = FakeSource([[line("a", 0)], [line("b", 100_000)], [line("b", 100_000)], [line("c", 100_001)]])
    assert taken(follow(source, SHOP, NOW, 10, ignore), 3) == ["a", "b", "c"]
    assert source.starts[-1] == NOW + 100_000 - logs.LATE


def test_following_survives_a_service_that_is_away_and_says_so_once() -> None:
    away = Unreachable("AWS does not answer", code="AWS-UNREACHABLE")
    said: list[Event] = []
    source = FakeSource([[line("a")], away, away, [line("a"), line("b", 1)]])
    assert taken(follow(source, SHOP, NOW, 10, said.append), 2) == ["a", "b"]
    assert [type(event) for event in said] == [Warned]


def test_records_of_fluent_bit_become_lines() -> None:
    record = {
        "time": "2027-01-15T08:00:00.000100000Z",
        "stream": "stderr",
        "_p": "F",
        "log": "hello",
        "kubernetes": {"pod_name": "web-1", "namespace_name": "shop", "container_name": "web"},
    }
    aws = FakeAws((NOW, json.dumps(record)), (NOW + 1, "not of fluent-bit"))
    first, second = CloudWatch(aws, "demo").lines(Wanted("shop", "web"), 5)  # type: ignore[arg-type]
    assert (first.time, first.pod, first.container, first.stream, first.text) == (
        record["time"],
        "web-1",
        "web",
        "stderr",
        "hello",
    )
    assert (second.text, second.time, second.pod) == ("not of fluent-bit", "2027-01-15T08:00:00.001Z", "")
    assert aws.asked == {
        "logGroupName": "/aws/containerinsights/demo/application",
        "startTime": 5,
        "filterPattern": '{ ($.kubernetes.namespace_name = "shop") && ($.kubernetes.pod_name = "web*") }',
    }


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800)])
def test_spans(text: str, seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    assert since(text) == (1_000_000 - seconds) * 1000


@pytest.mark.parametrize("text", ["", "10", "m", "1.5h", "10 m", "-1m"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="LOGS-SINCE"):
        since(text)


def test_what_is_no_expression_is_refused() -> None:
    with pytest.raises(UsageProblem, match="LOGS-GREP"):
        expression("(")


class Groups:
    """An AWS that has these log groups, or refuses to say."""

    def __init__(self, *names: str, error: Exception | None = None) -> None:
        self.names, self.error = names, error

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Any:
        if self.error:
            raise self.error
        prefix = arguments["logGroupNamePrefix"]
        return [{"logGroupName": name} for name in self.names if name.startswith(prefix)]


def context(aws: Groups, kubeconfig: Path | None = None) -> Any:
    target = SimpleNamespace(kubeconfig=kubeconfig, kube_context=None, region="us-west-2")
    return SimpleNamespace(aws=aws, target=target, settings=SimpleNamespace(cluster_name="demo"), workdir=Path("/x"))


def test_cloudwatch_is_asked_where_there_is_a_group() -> None:
    source, why = source_for(context(Groups("/aws/containerinsights/demo/application")))
    assert (source.name, why) == ("cloudwatch", "")


DENIED = PreconditionFailed("these AWS credentials may not do that", code="AWS-DENIED", why="logs: AccessDenied")


@pytest.mark.parametrize(
    ("aws", "said"),
    [
        (Groups("/aws/containerinsights/demo/application-2"), "no log group"),
        (Groups(error=DENIED), "logs: AccessDenied"),
    ],
)
def test_else_the_cluster_is_asked_and_it_is_said_why(aws: Groups, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "Access", lambda context: SimpleNamespace(aws=context.aws, kube=None))
    source, why = source_for(context(aws))
    assert (source.name, said in why) == ("cluster", True)


def test_any_cluster_has_its_own_logs_only(tmp_path: Path) -> None:
    source, why = source_for(context(Groups(), kubeconfig=tmp_path / "kubeconfig"))
    assert (source.name, bool(why)) == ("cluster", True)


class Kubelets:
    """Two pods; the log of each begins with the run before."""

    def pods(self, namespace: str) -> Any:
        return [SimpleNamespace(name=f"web-{n}", containers=[SimpleNamespace(name="web")]) for n in (1, 2)]

    def logs_since(self, pod: Any, container: str, seconds: int) -> str:
        at = "2027-01-15T08:00:00.0{}00000000Z".format
        return f"{at(int(pod.name[-1]))} first of {pod.name}\n{at(int(pod.name[-1]) + 2)} second of {pod.name}\n"


def test_the_clusters_lines_are_in_the_order_of_their_time() -> None:
    found = list(Cluster(Kubelets()).lines(SHOP, NOW))  # type: ignore[arg-type]
    assert texts(found) == ["first of web-1", "first of web-2", "second of web-1", "second of web-2"]
    assert (found[0].pod, found[0].container, found[0].milliseconds) == ("web-1", "web", NOW + 10)
    assert texts(Cluster(Kubelets()).lines(Wanted("shop", "web-2"), NOW)) == ["first of web-2", "second of web-2"]  # type: ignore[arg-type]
