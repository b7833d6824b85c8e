"""Log streams and their events, in a SQLite file beside the state of the lab's AWS.

moto would keep every event as an object in memory, and in the state that is saved after each change: gigabytes for a
million lines. Here the events of one PutLogEvents are one compressed row, in the file once the request is answered. The
file does not grow beyond `limit`: the oldest events go first.
"""

from __future__ import annotations

import heapq
import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

LIMIT = 512 << 20  # bytes of compressed events in one lab
FAST = 1  # zlib's level: others cost three times the CPU and save a quarter

SCHEMA = """
CREATE TABLE IF NOT EXISTS streams (
    id INTEGER PRIMARY KEY, region TEXT NOT NULL, log_group TEXT NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL,
    first INTEGER, last INTEGER, ingested INTEGER, UNIQUE (region, log_group, name)
);
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL REFERENCES streams ON DELETE CASCADE,
    first INTEGER NOT NULL, last INTEGER NOT NULL, ingested INTEGER NOT NULL, events BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS batches_of_stream ON batches (stream, last);
"""


class Group(NamedTuple):
    """A log group."""

    region: str
    name: str


class Position(NamedTuple):
    """Where an event is; events are read in this order. Times are in milliseconds since 1970, as everywhere here."""

    timestamp: int
    batch: int
    number: int


@dataclass(frozen=True)
class Event:
    """One log event."""

    position: Position
    stream: str
    ingested: int
    message: str


@dataclass(frozen=True)
class Stream:
    """A log stream; times are None as long as it has no event."""

    name: str
    created: int
    first: int | None
    last: int | None
    ingested: int | None


class EventStore:
    """The events of all groups. Safe from any thread; what a method has written survives a kill."""

    def __init__(self, file: Path, limit: int = LIMIT) -> None:
        self._file, self._limit = file, limit
        self._writing = threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        self._writer = self._connect()
        self._writer.executescript(SCHEMA)
        self._size = self._measured()

    def close(self) -> None:
        """Give the file back."""
        with self._writing:
            self._writer.close()

    # --- streams

    def create_stream(self, group: Group, name: str, now: int) -> bool:
        """False when it exists already."""
        with self._writing, self._writer as db:
            done = db.execute(
                "INSERT OR IGNORE INTO streams (region, log_group, name, created) VALUES (?, ?, ?, ?)",
                (*group, name, now),
            )
            return done.rowcount == 1

    def delete_stream(self, group: Group, name: str) -> bool:
        """Remove a stream and its events; False when there is none."""
        with self._writing, self._writer as db:
            gone = db.execute("DELETE FROM streams WHERE region = ? AND log_group = ? AND name = ?", (*group, name))
            self._size = self._measured()
            return gone.rowcount == 1

    def delete_group(self, group: Group) -> None:
        """Remove all streams of a group."""
        with self._writing, self._writer as db:
            db.execute("DELETE FROM streams WHERE region = ? AND log_group = ?", group)
            self._size = self._measured()

    def streams(self, group: Group, prefix: str = "") -> list[Stream]:
        """The streams of a group whose names begin with `prefix`, by name."""
        with closing(self._connect()) as db:
            rows = db.execute(
                "SELECT name, created, first, last, ingested FROM streams"
                " WHERE region = ? AND log_group = ? AND substr(name, 1, ?) = ? ORDER BY name",
                (*group, len(prefix), prefix),
            )
            return [Stream(*row) for row in rows]

    # --- events

    def put(self, group: Group, stream: str, events: Sequence[tuple[int, str]], now: int) -> bool:
        """Add (timestamp, message) pairs; False when there is no such stream. Makes room by dropping the oldest."""
        if not events:
            return self._stream_id(self._writer, group, stream) is not None
        blob = zlib.compress(json.dumps(events, ensure_ascii=False, separators=(",", ":")).encode(), FAST)
        first, last = min(t for t, _ in events), max(t for t, _ in events)
        with self._writing, self._writer as db:
            identifier = self._stream_id(db, group, stream)
            if identifier is None:
                return False
            db.execute(
                "INSERT INTO batches (stream, first, last, ingested, events) VALUES (?, ?, ?, ?, ?)",
                (identifier, first, last, now, blob),
            )
            db.execute(
                "UPDATE streams SET first = min(coalesce(first, ?1), ?1), last = max(coalesce(last, ?2), ?2),"
                " ingested = ?3 WHERE id = ?4",
                (first, last, now, identifier),
            )
            self._size += len(blob)
            self._make_room(db)
            return True

    def read(
        self,
        group: Group,
        streams: Sequence[str] = (),
        *,
        start: int = 0,
        end: int | None = None,
        after: Position | None = None,
    ) -> Iterator[Event]:
        """Events with start <= timestamp < end behind `after`, of all streams or of some, in order of their position.

        Holds no more than the batches that overlap in time.
        """
        begin = max(start, after.timestamp if after else start)
        with closing(self._connect()) as db:
            waiting: list[tuple[Position, str, int, str]] = []
            for batch, first, name in self._overlapping(db, group, streams, begin, end):
                while waiting and waiting[0][0].timestamp < first:
                    yield _event(heapq.heappop(waiting))
                for item in _content(db, batch, name):
                    position = item[0]
                    inside = begin <= position.timestamp and (end is None or position.timestamp < end)
                    if inside and (after is None or position > after):
                        heapq.heappush(waiting, item)
            while waiting:
                yield _event(heapq.heappop(waiting))

    def expire(self, group: Group, before: int) -> None:
        """Drop events that are older than a time, a batch at a time, and streams that have had none since."""
        with self._writing, self._writer as db:
            of_group = "SELECT id FROM streams WHERE region = ? AND log_group = ?"
            db.execute(f"DELETE FROM batches WHERE last < ? AND stream IN ({of_group})", (before, *group))  # noqa: S608
            db.execute(
                "DELETE FROM streams WHERE region = ? AND log_group = ? AND coalesce(last, created) < ?",
                (*group, before),
            )
            self._size = self._measured()

    def groups(self) -> list[Group]:
        """Groups that have streams here."""
        with closing(self._connect()) as db:
            return [Group(*row) for row in db.execute("SELECT DISTINCT region, log_group FROM streams")]

    # --- inside

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._file, timeout=30, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing; only a power cut may lose the last commits
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA cache_size = -1024")
        return db

    def _measured(self) -> int:
        return int(self._writer.execute("SELECT coalesce(sum(length(events)), 0) FROM batches").fetchone()[0])

    def _stream_id(self, db: sqlite3.Connection, group: Group, name: str) -> int | None:
        row = db.execute(
            "SELECT id FROM streams WHERE region = ? AND log_group = ? AND name = ?", (*group, name)
        ).fetchone()
        return None if row is None else int(row[0])

    def _make_room(self, db: sqlite3.Connection) -> None:
        while self._size > self._limit:
            batch, size = db.execute("SELECT id, length(events) FROM batches ORDER BY id LIMIT 1").fetchone()
            db.execute("DELETE FROM batches WHERE id = ?", (batch,))
            self._size -= size

    @staticmethod
    def _overlapping(
        db: sqlite3.Connection, group: Group, streams: Sequence[str], begin: int, end: int | None
    ) -> Iterator[tuple[int, int, str]]:
        query = (
            "SELECT b.id, b.first, s.name FROM streams s JOIN batches b ON b.stream = s.id"
            " WHERE s.region = ? AND s.log_group = ? AND b.last >= ? AND b.first < ?"
        )
        arguments: list[Any] = [*group, begin, 1 << 62 if end is None else end]
        if streams:
            query += f" AND s.name IN ({','.join('?' * len(streams))})"
            arguments += streams
        yield from db.execute(f"{query} ORDER BY b.first, b.id", arguments)


def _content(db: sqlite3.Connection, batch: int, stream: str) -> Iterator[tuple[Position, str, int, str]]:
    row = db.execute("SELECT ingested, events FROM batches WHERE id = ?", (batch,)).fetchone()
    if row is None:  # dropped meanwhile
        return
    for number, (timestamp, message) in enumerate(json.loads(zlib.decompress(row[1]))):
        yield Position(timestamp, batch, number), stream, row[0], message


def _event(item: tuple[Position, str, int, str]) -> Event:
    position, stream, ingested, message = item
    return Event(position, stream, ingested, message)
