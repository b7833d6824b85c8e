"""The log files of containers: lines as a CRI runtime writes them, `TIME STREAM TAG TEXT`, joined to records.

A line of more than 16 KB comes in parts: their tag is P, that of the last F.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

LONGEST = 150_000  # bytes of one record: as JSON, which may take six for one, it still fits into a request
EPOCH, MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
FULL, PART = "F", "P"
LINE = re.compile(rb"([0-9T:.Z+-]+) (stdout|stderr) ([FP])(?::[^ ]*)? (.*)", re.DOTALL)


class Record(NamedTuple):
    """What a container said. `start` is the offset of its first byte in the file; one that was cut has the tag P."""

    start: int
    time: str  # as the runtime wrote it, with nanoseconds
    stream: str  # stdout or stderr
    tag: str
    text: str

    @property
    def milliseconds(self) -> int | None:
        """Its time since 1970, None for one that cannot be read."""
        try:
            return (datetime.fromisoformat(self.time) - EPOCH) // MILLISECOND
        except (ValueError, TypeError):
            return None


class _Begun(NamedTuple):
    """A line of which some parts are there."""

    start: int
    time: str
    parts: list[bytes]


def groups(data: bytes, offset: int, *, final: bool = False) -> Iterator[tuple[list[Record], int]]:
    """The records of `data`, which begins at `offset` of a file, as (records, offset behind them).

    Reading can go on at each of these offsets. Mostly a group is one record; more when parts of stdout and stderr are
    mixed. What is incomplete at the end is left for the next time, unless `final` says that nothing more will come.
    """
    begun: dict[str, _Begun] = {}
    ready: list[Record] = []
    group = position = offset
    *lines, _unfinished = data.split(b"\n")
    for line in lines:
        record = _record(line, position, begun)
        position += len(line) + 1
        if record:
            ready.append(record)
        if begun and position - group > LONGEST:
            ready += _cut(begun)
        if not begun:
            yield (sorted(ready) if len(ready) > 1 else ready), position
            ready, group = [], position
    if final and begun:
        yield sorted([*ready, *_cut(begun)]), position


def _record(line: bytes, position: int, begun: dict[str, _Begun]) -> Record | None:
    """The record that a line completes; None when it is a part that is kept in `begun`."""
    match = LINE.fullmatch(line)
    if match is None:
        return Record(position, "", "", FULL, _text(line))  # no runtime wrote this: somebody may want to see it still
    time, stream, tag, text = match[1].decode(), match[2].decode(), match[3], match[4]
    if tag == b"P":
        begun.setdefault(stream, _Begun(position, time, [])).parts.append(text)
        return None
    before = begun.pop(stream, None)
    if before is None:
        return Record(position, time, stream, FULL, _text(text))
    return Record(before.start, before.time, stream, FULL, _text(b"".join([*before.parts, text])))


def _cut(begun: dict[str, _Begun]) -> list[Record]:
    """What there is of lines that are not complete; nothing of them is begun any more."""
    records = [Record(b.start, b.time, stream, PART, _text(b"".join(b.parts))) for stream, b in begun.items()]
    begun.clear()
    return records


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
