"""What `chaosctl logs` reads from the lab's CloudWatch Logs, over HTTP and page by page."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from chaosctl.errors import Unreachable
from chaosctl.events import ignore
from chaosctl.queries import logs as query
from chaosctl.queries.logs import CloudWatch, Wanted, expression, follow, read
from tests.contract.aws.conftest import Lab

GROUP, STREAM = "/aws/containerinsights/demo/application", "node-application.var.log.containers.web.log"
NOW = int(time.time() * 1000)
SHOP = Wanted("shop")


@pytest.fixture
def cloudwatch(lab: Lab) -> CloudWatch:
    client = lab.client("logs")
    client.create_log_group(logGroupName=GROUP)
    client.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
    return CloudWatch(lab.aws, "demo")


def put(lab: Lab, *lines: tuple[str, str], at: int = NOW, namespace: str = "shop", first: int = 0) -> None:
    """(pod, text) pairs as the shipper sends them, a millisecond apart; `first` is the number of the first."""
    events: list[Any] = []
    for number, (pod, text) in enumerate(lines, first):
        kubernetes = {"pod_name": pod, "namespace_name": namespace, "container_name": "web"}
        record = {"time": "", "stream": "stdout", "log": text, "kubernetes": kubernetes, "event_id": f"{pod}-{number}"}
        events.append({"timestamp": at + number, "message": json.dumps(record)})
    lab.client("logs").put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=events)


def texts(found: query.Found) -> list[str]:
    return [line.text for line in found.lines]


def test_only_what_is_wanted_is_read(lab: Lab, cloudwatch: CloudWatch) -> None:
    put(lab, ("web-1", "a"), ("web-2", "b"), ("db-1", "c"), ("web-3", "d"))
    put(lab, ("coredns-1", "x"), namespace="kube-system")
    assert texts(read(cloudwatch, SHOP, NOW, 10)) == ["a", "b", "c", "d"]
    assert texts(read(cloudwatch, SHOP, NOW + 1, 10)) == ["b", "c", "d"]
    assert texts(read(cloudwatch, Wanted("shop", "web-"), NOW, 10)) == ["a", "b", "d"]
    assert texts(read(cloudwatch, Wanted("shop", "web-", expression("[bcd]")), NOW, 10)) == ["b", "d"]


def test_many_pages_are_one_answer(lab: Lab, cloudwatch: CloudWatch) -> None:
    for first in range(0, 12_000, 2000):
        put(lab, *[("web-1", str(first + number)) for number in range(2000)], first=first)
    found = read(cloudwatch, SHOP, NOW, 3)
    assert (texts(found), found.earlier) == (["11997", "11998", "11999"], 11_997)


def test_what_was_sent_twice_is_told(lab: Lab, cloudwatch: CloudWatch) -> None:
    put(lab, ("web-1", "a"), ("web-1", "b"))
    put(lab, ("web-1", "a"), ("web-1", "b"), ("web-1", "c"))
    found = read(cloudwatch, SHOP, NOW, 10)
    assert (texts(found), found.repeated) == (["a", "b", "c"], 2)


def test_what_comes_later_is_followed(lab: Lab, cloudwatch: CloudWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "POLL", 0)
    put(lab, ("web-1", "a"))
    following = follow(cloudwatch, SHOP, NOW, 10, ignore)
    assert next(following).text == "a"
    put(lab, ("web-2", "b"), first=5)
    put(lab, ("web-2", "earlier, but late"), first=2)
    assert {next(following).text, next(following).text} == {"b", "earlier, but late"}


def test_a_group_exists_or_not(lab: Lab, cloudwatch: CloudWatch) -> None:
    assert cloudwatch.exists()
    assert not CloudWatch(lab.aws, "dem").exists()


def test_nobody_answers(lab: Lab) -> None:
    with pytest.raises(Unreachable):
        CloudWatch(replace(lab, url="http://127.0.0.1:9").aws, "demo").exists()
