"""Thousands of requests as a few hundred columns. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaosctl.chaos.outage import percentile
from chaosctl.chaos.requests import OK, TIMED_OUT, UNSENT, Request

MOST = 240  # columns; more cannot be told apart on a screen
WIDTHS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
CLASSES = ("ok", "bad", "timeout", "unsent")  # of outcomes, as they are stacked


def kind_of(outcome: str) -> str:
    """The class of an outcome."""
    return outcome if outcome in (OK, TIMED_OUT, UNSENT) else "bad"


def width_for(seconds: float) -> float:
    """The narrowest round width with which so many seconds fit into MOST columns."""
    return next((width for width in WIDTHS if seconds <= width * MOST), seconds / MOST)


@dataclass
class Bucket:
    """Requests whose intended time is in [begin, begin + width); latencies in ms, of the good ones of all streams."""

    begin: float
    counts: dict[str, Counter[str]] = field(default_factory=dict)  # stream to outcome to number
    latencies: list[float] = field(default_factory=list)

    def of_class(self, stream: str, kind: str) -> int:
        """How many requests of a stream ended in this class."""
        return sum(n for outcome, n in self.counts.get(stream, Counter()).items() if kind_of(outcome) == kind)

    @property
    def failed(self) -> Counter[str]:
        """How many failed in which way, over all streams."""
        total: Counter[str] = Counter()
        for counts in self.counts.values():
            total.update({outcome: n for outcome, n in counts.items() if outcome != OK})
        return total

    def latency(self, percent: float) -> float | None:
        """A percentile in ms, None without a good request."""
        return percentile(sorted(self.latencies), percent) if self.latencies else None


def fill(streams: Mapping[str, Sequence[Request]], begin: float, end: float) -> tuple[float, list[Bucket]]:
    """The width in seconds, and every column from `begin` to `end` (seconds of CLOCK_MONOTONIC), empty ones too."""
    width = width_for(max(end - begin, WIDTHS[0]))
    count = max(1, -int(-(end - begin) // width))
    made = [Bucket(begin + n * width) for n in range(count)]
    for stream, requests in streams.items():
        for request in requests:
            bucket = made[min(count - 1, max(0, int((request.intended / 1e6 - begin) / width)))]
            bucket.counts.setdefault(stream, Counter())[request.outcome] += 1
            if request.ok:
                bucket.latencies.append(request.latency / 1000)
    return width, made
