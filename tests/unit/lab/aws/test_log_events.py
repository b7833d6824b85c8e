from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.lab.aws.logs.events import EventStore, Group
from chaosctl.lab.aws.logs.patterns import InvalidPattern, compiled

GROUP = Group("us-west-2", "web")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    store = EventStore(tmp_path / "logs.db", limit=10_000)
    store.create_stream(GROUP, "a", 0)
    yield store
    store.close()


def texts(store: EventStore) -> list[str]:
    return [event.message for event in store.read(GROUP)]


def test_the_file_is_private(store: EventStore, tmp_path: Path) -> None:
    assert (tmp_path / "logs.db").stat().st_mode & 0o777 == 0o600


def test_the_oldest_go_when_the_store_is_full(store: EventStore, tmp_path: Path) -> None:
    for number in range(600):
        store.put(GROUP, "a", [(number, f"line {number}")], 0)
    kept = texts(store)
    assert kept[-1] == "line 599"
    assert 100 < len(kept) < 600
    reopened = EventStore(tmp_path / "logs.db", limit=10_000)
    reopened.put(GROUP, "a", [(600, "line 600")], 0)
    assert len(texts(reopened)) <= len(kept) + 1  # it has measured what was there
    reopened.close()


def test_another_region_is_another_group(store: EventStore) -> None:
    assert store.put(Group("eu-west-1", "web"), "a", [(0, "x")], 0) is False


def test_a_reader_holds_only_what_overlaps(store: EventStore) -> None:
    store.put(GROUP, "a", [(0, "first"), (10, "last")], 0)
    store.put(GROUP, "a", [(5, "middle")], 0)
    store.put(GROUP, "a", [(20, "later")], 0)
    assert texts(store) == ["first", "middle", "last", "later"]


def test_streams_without_events_expire_too(store: EventStore) -> None:
    store.put(GROUP, "a", [(100, "x")], 0)
    store.create_stream(GROUP, "empty", 0)
    store.expire(GROUP, 50)
    assert [stream.name for stream in store.streams(GROUP)] == ["a"]


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", "anything", True),
        ("error timeout", "a timeout is an error", True),
        ("error timeout", "an error", False),
        ("Error", "an error", False),
        ('"an error"', "an error", True),
        ('"an error"', "error an", False),
        ("error -timeout", "error: timeout", False),
        ("?error ?timeout", "timeout", True),
        ("?error ?timeout", "fine", False),
        ('{ $.pod = "web-*" }', '{"pod": "web-1"}', True),
        ('{ $.pod = "web-*" }', '{"pod": "db-1"}', False),
        ('{ $.pod = "web-*" }', "no JSON", False),
        ('{ $.pod != "web-1" }', '{"pod": "web-2"}', True),
        ('{ $.pod != "web-1" }', "{}", False),
        ('{ $.a.b = "x" && ($.c = "y" || $.c = "z") }', '{"a": {"b": "x"}, "c": "z"}', True),
        ('{ $.a.b = "x" && ($.c = "y" || $.c = "z") }', '{"a": {"b": "x"}, "c": "w"}', False),
        ("{ $.status >= 500 }", '{"status": 503}', True),
        ("{ $.status >= 500 }", '{"status": "503"}', False),
        ('{ $.text = "a.c" }', '{"text": "abc"}', False),
        (r'{ $.text = "a\"b" }', r'{"text": "a\"b"}', True),
    ],
)
def test_patterns(pattern: str, message: str, matches: bool) -> None:
    assert compiled(pattern)(message) is matches


@pytest.mark.parametrize(
    "pattern",
    ["{ $.a }", "{ $.a = }", "{ ($.a = 1 }", "{ $.a IS NULL }", "%regex%", "[a, b]", "{ $.a[0] = 1 }", '"open'],
)
def test_patterns_that_are_not_understood_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        compiled(pattern)
