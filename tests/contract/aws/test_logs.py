"""CloudWatch Logs of the lab, as boto3 sees it: streams and events are ours, groups are moto's."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chaosctl.lab.aws import state
from chaosctl.lab.aws.logs.events import EventStore, Group
from chaosctl.lab.aws.logs.service import DAY, Logs
from tests.contract.aws.conftest import REGION, Lab

GROUP, STREAM = "/aws/containerinsights/demo/application", "node-application.var.log.containers.web_shop_web-0.log"
NOW = int(time.time() * 1000)


@pytest.fixture
def logs(lab: Lab) -> Any:
    client = lab.client("logs")
    client.create_log_group(logGroupName=GROUP)
    client.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
    return client


def put(logs: Any, *messages: str, stream: str = STREAM, at: int = NOW) -> Any:
    events = [{"timestamp": at + index, "message": message} for index, message in enumerate(messages)]
    return logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def found(logs: Any, **asked: Any) -> list[str]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, **asked)
    return [event["message"] for page in pages for event in page["events"]]


def test_what_was_sent_is_found_in_the_order_of_its_time(logs: Any) -> None:
    logs.create_log_stream(logGroupName=GROUP, logStreamName="other")
    put(logs, "a", "d", at=NOW)
    put(logs, "b", "c", stream="other", at=NOW)

    assert found(logs) == ["a", "b", "d", "c"]
    assert found(logs, logStreamNames=["other"]) == ["b", "c"]
    assert found(logs, logStreamNamePrefix="node-") == ["a", "d"]
    assert found(logs, logStreamNamePrefix="nothing") == []


def test_both_ends_of_the_window_belong_to_it(logs: Any) -> None:
    put(logs, "0", "1", "2", "3")

    assert found(logs, startTime=NOW + 1, endTime=NOW + 2) == ["1", "2"]


def test_pages_neither_repeat_nor_miss(logs: Any) -> None:
    sent = [str(number) for number in range(23)]
    for begin in range(0, 23, 5):
        put(logs, *sent[begin : begin + 5], at=NOW)  # all batches overlap

    assert sorted(found(logs, PaginationConfig={"PageSize": 4}), key=int) == sent
    identifiers = {event["eventId"] for event in logs.filter_log_events(logGroupName=GROUP)["events"]}
    assert len(identifiers) == 23


def test_a_page_may_be_empty_and_have_a_successor(logs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaosctl.lab.aws.logs.service.SCANNED", 3)
    put(logs, *["dull"] * 10, "bright")

    first = logs.filter_log_events(logGroupName=GROUP, filterPattern="bright")
    assert (first["events"], "nextToken" in first) == ([], True)
    assert found(logs, filterPattern="bright") == ["bright"]


def test_records_are_filtered_by_their_members(logs: Any) -> None:
    def record(pod: str, text: str) -> str:
        return json.dumps({"log": text, "kubernetes": {"pod_name": pod, "namespace_name": "shop"}})

    put(logs, record("web-1", "a"), record("web-2", "b"), record("db-1", "c"))
    pattern = '{ ($.kubernetes.namespace_name = "shop") && ($.kubernetes.pod_name = "web-*") }'

    assert [json.loads(text)["log"] for text in found(logs, filterPattern=pattern)] == ["a", "b"]


def test_a_wrong_token_or_pattern_is_refused(logs: Any) -> None:
    for wrong in ({"nextToken": "x"}, {"filterPattern": "{ $.a = }"}, {"filterPattern": "[a, b]"}):
        with pytest.raises(ClientError, match="InvalidParameterException"):
            logs.filter_log_events(logGroupName=GROUP, **wrong)


def test_a_request_that_makes_no_sense_is_an_error_of_the_client(lab: Lab, logs: Any) -> None:
    request = urllib.request.Request(lab.url, b"{", {"X-Amz-Target": "Logs_20140328.PutLogEvents"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request)


def test_one_stream_is_read_forwards_and_backwards(logs: Any) -> None:
    put(logs, *"abcdefg")
    of_stream = {"logGroupName": GROUP, "logStreamName": STREAM}

    def texts(answer: Any) -> str:
        return "".join(event["message"] for event in answer["events"])

    last = logs.get_log_events(**of_stream, limit=3)
    before = logs.get_log_events(**of_stream, limit=3, nextToken=last["nextBackwardToken"])
    head = logs.get_log_events(**of_stream, limit=3, startFromHead=True)
    after = logs.get_log_events(**of_stream, limit=3, nextToken=head["nextForwardToken"])
    end = logs.get_log_events(**of_stream, nextToken=last["nextForwardToken"])
    assert [texts(answer) for answer in (last, before, head, after, end)] == ["efg", "bcd", "abc", "def", ""]
    assert end["nextForwardToken"] == last["nextForwardToken"]  # this is how AWS says that there is no more


def test_streams_are_described(logs: Any) -> None:
    logs.create_log_stream(logGroupName=GROUP, logStreamName="a")
    put(logs, "x", "y")

    first, second = logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert (first["logStreamName"], "lastEventTimestamp" in first) == ("a", False)
    assert (second["firstEventTimestamp"], second["lastEventTimestamp"]) == (NOW, NOW + 1)
    latest = logs.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True, limit=1)
    assert (latest["logStreams"][0]["logStreamName"], "nextToken" in latest) == (STREAM, True)


def test_a_stream_that_exists_or_not_is_an_error(logs: Any) -> None:
    with pytest.raises(ClientError, match="ResourceAlreadyExistsException"):
        logs.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        put(logs, "x", stream="nothing")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        logs.filter_log_events(logGroupName="nothing")


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([{"timestamp": NOW + 1, "message": "b"}, {"timestamp": NOW, "message": "a"}], "chronological"),
        ([{"timestamp": NOW - DAY - 1, "message": "a"}, {"timestamp": NOW, "message": "b"}], "24 hours"),
        ([{"timestamp": NOW, "message": "x" * 600_000}] * 2, "too large"),
    ],
)
def test_batches_that_aws_refuses_are_refused(logs: Any, events: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ClientError, match=said):
        logs.put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=events)


def test_what_is_too_old_or_too_new_is_rejected_alone(logs: Any) -> None:
    assert put(logs, "old", at=NOW - 15 * DAY)["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    assert put(logs, "new", at=NOW + DAY)["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 0}
    assert "rejectedLogEventsInfo" not in put(logs, "now")
    assert found(logs) == ["now"]


def test_what_the_lab_cannot_do_is_refused_and_not_answered_with_nothing(logs: Any) -> None:
    with pytest.raises(ClientError, match="UnknownOperationException"):
        logs.start_query(logGroupName=GROUP, startTime=0, endTime=1, queryString="fields @message")


def test_a_group_that_is_made_again_is_empty(logs: Any) -> None:
    put(logs, "x")
    logs.delete_log_group(logGroupName=GROUP)
    logs.create_log_group(logGroupName=GROUP)

    assert logs.describe_log_streams(logGroupName=GROUP)["logStreams"] == []


def test_events_expire_as_the_group_says(lab: Lab, logs: Any) -> None:
    put(logs, "old", at=NOW - 2 * DAY)
    put(logs, "new")
    logs.put_retention_policy(logGroupName=GROUP, retentionInDays=1)
    Logs(lab.layout).expire()

    assert found(logs) == ["new"]


def test_events_survive_a_restart_and_are_not_in_the_state(lab: Lab, logs: Any) -> None:
    before = len(state.snapshot())
    for _ in range(5):
        put(logs, *["the same line again and again"] * 1000)
    assert len(state.snapshot()) < before + 1000
    store = EventStore(lab.layout.aws / "logs.db")  # as the next process would open it
    assert sum(1 for _ in store.read(Group(REGION, GROUP))) == 5000
    store.close()
