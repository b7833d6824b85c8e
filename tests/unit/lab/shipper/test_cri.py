from __future__ import annotations

import pytest

from chaosctl.lab.shipper.cri import LONGEST, Record, groups

T = "2026-11-23T19:31:35.123456789Z"


def lines(*parts: tuple[str, str, str]) -> bytes:
    return "".join(f"{T} {stream} {tag} {text}\n" for stream, tag, text in parts).encode()


def read(data: bytes, *, final: bool = False) -> list[tuple[str, str, str]]:
    found = [record for records, _ in groups(data, 0, final=final) for record in records]
    return [(record.stream, record.tag, record.text) for record in found]


def test_a_line_is_a_record() -> None:
    data = lines(("stdout", "F", "hello"), ("stderr", "F", ""))
    assert list(groups(data, 100)) == [
        ([Record(100, T, "stdout", "F", "hello")], 146),
        ([Record(146, T, "stderr", "F", "")], len(data) + 100),
    ]


def test_times_are_milliseconds_since_1970_in_any_zone() -> None:
    assert Record(0, T, "stdout", "F", "").milliseconds == 1795462295123
    assert Record(0, "2026-11-23T20:31:35.123999999+01:00", "", "F", "").milliseconds == 1795462295123
    assert Record(0, "", "", "F", "").milliseconds is None


def test_parts_are_joined() -> None:
    data = lines(("stdout", "P", "a"), ("stdout", "P", "b"), ("stdout", "F", "c"), ("stdout", "F", "next"))
    assert read(data) == [("stdout", "F", "abc"), ("stdout", "F", "next")]


def test_parts_of_two_streams_are_kept_apart() -> None:
    data = lines(("stdout", "P", "a"), ("stderr", "F", "x"), ("stdout", "F", "b"))
    ((records, end),) = groups(data, 0)
    assert [(record.start, record.text) for record in records] == [(0, "ab"), (42, "x")]
    assert end == len(data)


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_reading_goes_on_where_it_ended(cut: int) -> None:
    data = lines(("stdout", "F", "one"), ("stdout", "P", "a"), ("stderr", "F", "x"), ("stdout", "F", "b"))
    found, offset = [], 0
    for end in (cut, len(data)):
        for records, behind in groups(data[offset:end], offset):
            found += [(record.start, record.text) for record in records]
            offset = behind
    assert found == [(0, "one"), (44, "ab"), (86, "x")]


def test_what_is_not_complete_waits_or_is_sent_as_a_part() -> None:
    data = lines(("stdout", "F", "one"), ("stdout", "P", "half"))
    assert read(data) == [("stdout", "F", "one")]
    assert read(data, final=True) == [("stdout", "F", "one"), ("stdout", "P", "half")]
    assert read(b"2026-11-23T19:31", final=True) == []


def test_a_line_without_end_is_cut_and_nothing_of_it_lost() -> None:
    part = "x" * 16_384
    data = lines(*[("stdout", "P", part)] * 40, ("stdout", "F", "end"))
    records = [record for found, _ in groups(data, 0) for record in found]
    assert [record.tag for record in records] == ["P"] * 4 + ["F"]
    assert max(len(record.text) for record in records) <= LONGEST + 16_384
    assert "".join(record.text for record in records) == part * 40 + "end"


@pytest.mark.parametrize("line", [b"no runtime wrote this", b"", b'" stdout F x', T.encode() + b" stdout X x"])
def test_other_lines_are_sent_as_they_are(line: bytes) -> None:
    assert read(line + b"\n") == [("", "F", line.decode())]


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert read(T.encode() + b" stdout F a\xffb\rc\n") == [("stdout", "F", "a\ufffdb\rc")]
