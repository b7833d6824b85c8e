"""The time line of a run as one SVG: phases, clocks, requests, latency, pods and targets over one axis. Pure.

Times are seconds since the fault (since the beginning of the run when there was none).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from chaosctl.chaos.outage import Outage
from chaosctl.chaos.recovery import Clocks
from chaosctl.chaos.requests import STREAMS
from chaosctl.chaos.timeline import Life, Timeline
from chaosctl.report import svg
from chaosctl.report.buckets import CLASSES, Bucket, fill, width_for

WIDTH, LEFT, RIGHT = 1160.0, 176.0, 20.0  # of the picture, of the labels, of the margin
ROW, GAP = 19.0, 5.0  # of a pod or target, between two of them
PLOT = 76.0  # height of requests and of latency
MOST_ROWS = 16  # pods, and targets, that are drawn; those that changed come first
NARROW = 3.0  # a failure is at least so wide and high: it must not be lost among thousands
CHARACTER = 6.2  # width of a letter in a bar, about
CLOCK_NAMES = {"replacements": "replacements ready", "targets": "targets healthy", "traffic": "traffic clean"}
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True)
class Chart:
    """The picture, and what a cursor on it needs: the columns and where they are."""

    svg: str
    width: float  # seconds of a column
    begin: float  # seconds of CLOCK_MONOTONIC where the axis begins, and ends
    end: float
    buckets: Sequence[Bucket]
    hidden: int  # pods and targets that are not drawn


class Scale:
    """From seconds of CLOCK_MONOTONIC to the picture's x."""

    def __init__(self, begin: float, end: float, zero: float) -> None:
        self.begin, self.end, self.zero = begin, max(end, begin + 0.1), zero
        self._per_second = (WIDTH - LEFT - RIGHT) / (self.end - self.begin)

    @property
    def column(self) -> float:
        """Seconds of a column."""
        return width_for(self.end - self.begin)

    def x(self, at: float) -> float:
        """Where this moment is; moments outside are at the edge."""
        return LEFT + (min(max(at, self.begin), self.end) - self.begin) * self._per_second

    def ticks(self) -> list[float]:
        """Moments with a label: round seconds from zero."""
        span = self.end - self.begin
        step = next((s for s in STEPS if span / s <= 12), span / 12)
        first = math.ceil((self.begin - self.zero) / step)
        last = math.floor((self.end - self.zero) / step)
        return [self.zero + n * step for n in range(first, last + 1)]


def draw(line: Timeline, clocks: Clocks, outages: Iterable[Outage]) -> Chart:
    """The whole picture."""
    scale = _scale(line)
    width, buckets = fill(line.requests, scale.begin, scale.end)
    canvas = Canvas(scale)
    canvas.phases(line)
    canvas.clocks(clocks, line.clocks_from)
    for stream in STREAMS:
        canvas.requests(stream, buckets, width)
    canvas.latency(buckets, width)
    hidden = canvas.lives("pods", line.pods.values()) + canvas.lives("targets", line.targets.values())
    return Chart(canvas.finish(line, list(outages)), width, scale.begin, scale.end, buckets, hidden)


def _scale(line: Timeline) -> Scale:
    sent = [r.intended / 1e6 for requests in line.requests.values() for r in requests]
    begin = min([line.began, *sent[:1]])
    return Scale(begin, max([line.ended, *sent[-1:]]), line.fault_at if line.fault_at is not None else begin)


def moved_first(lives: Iterable[Life]) -> list[Life]:
    """Those that changed before those that did not, else in the order in which they were seen."""
    return sorted(lives, key=lambda life: len(life.changes) < 2)


class Canvas:
    """Draws from top to bottom."""

    def __init__(self, scale: Scale) -> None:
        self._scale = scale
        self._y = 26.0
        self._parts: list[str] = []

    def _heading(self, words: str, height: float, *, small: str = "") -> None:
        middle = self._y + height / 2 + (0 if small else 4)
        self._parts.append(svg.text(words, x=0, y=middle, class_="label"))
        if small:
            self._parts.append(svg.text(small, x=0, y=middle + 14, class_="note"))

    def phases(self, line: Timeline) -> None:
        """A ribbon with the phases of the run."""
        self._heading("phase", ROW)
        ends = [at for _, at in line.phases[1:]] + [self._scale.end]
        for (phase, begin), end in zip(line.phases, ends, strict=True):
            self._bar(begin, end, "phase", phase, f"{phase}: {end - begin:.1f} s")
        self._y += ROW + 2 * GAP

    def clocks(self, clocks: Clocks, fault: float | None) -> None:
        """An arrow per recovery clock, from the fault to where it stopped."""
        if fault is None:
            return
        for name, seconds in asdict(clocks).items():
            self._heading(CLOCK_NAMES[name], ROW)
            if seconds is not None:
                self._clock(name, fault, fault + seconds, f"{seconds:.2f} s")
            else:
                x = self._scale.x(fault) + 8
                self._parts.append(svg.text("not measured or not reached", x=x, y=self._y + 13, class_="note"))
            self._y += ROW
        self._y += 2 * GAP

    def _clock(self, name: str, fault: float, stop: float, words: str) -> None:
        start, end, y = self._scale.x(fault), self._scale.x(stop), self._y + ROW / 2
        beside, anchor = (end + 9, "start") if end < WIDTH - 90 else (end - 9, "end")
        self._parts += [
            svg.element("line", x1=start, x2=end, y1=y, y2=y, class_="clock"),
            svg.element("circle", svg.title(f"{CLOCK_NAMES[name]}: {words}"), cx=end, cy=y, r=4.5, class_="clock-end"),
            svg.text(words, x=beside, y=y + (4 if anchor == "start" else -6), class_="figure", text_anchor=anchor),
        ]

    def requests(self, stream: str, buckets: Sequence[Bucket], width: float) -> None:
        """Columns of requests a second, stacked by outcome, failures on top."""
        rates = [sum(b.counts.get(stream, {}).values()) / width for b in buckets]
        top = _round_up(max([*rates, 1.0]))
        self._heading("requests a second", PLOT, small=f"{stream} connections")
        self._axis([(0.0, "0"), (0.5, f"{top / 2:g}"), (1.0, f"{top:g}")])
        for bucket in buckets:
            self._column(bucket, stream, width, top)
        self._y += PLOT + 3 * GAP

    def _column(self, bucket: Bucket, stream: str, width: float, top: float) -> None:
        left, right = self._scale.x(bucket.begin), self._scale.x(bucket.begin + width)
        base = self._y + PLOT
        for kind in CLASSES:
            count = bucket.of_class(stream, kind)
            if not count:
                continue
            tall = max(count / width / top * PLOT, NARROW if kind != "ok" else 0.5)
            wide = max(right - left - 0.6, NARROW if kind != "ok" else 0.4)
            base = max(base, self._y + tall)
            self._parts.append(
                svg.element("rect", x=left, y=base - tall, width=wide, height=tall, class_=f"request {kind}")
            )
            base -= tall

    def latency(self, buckets: Sequence[Bucket], width: float) -> None:
        """Median and 99th percentile on a logarithmic axis."""
        worst = max((b.latency(99) or 0 for b in buckets), default=0)
        decades = max(2, math.ceil(math.log10(max(worst, 1.0)) + 1e-9))
        self._heading("latency", PLOT, small="good requests, ms")
        self._axis([(n / decades, f"{10**n:g}") for n in range(decades + 1)])
        for percent, name in ((99, "p99"), (50, "p50")):
            for path in self._lines(buckets, width, percent, decades):
                self._parts.append(svg.element("path", d=path, class_=f"latency {name}"))
        self._y += PLOT + 4 * GAP

    def _lines(self, buckets: Sequence[Bucket], width: float, percent: float, decades: int) -> list[str]:
        """Paths; a column without a good request interrupts them."""
        paths: list[list[str]] = [[]]
        for bucket in buckets:
            value = bucket.latency(percent)
            if value is None:
                paths.append([])
                continue
            y = self._y + PLOT * (1 - min(1.0, max(0.0, math.log10(max(value, 1.0)) / decades)))
            paths[-1].append(f"{self._scale.x(bucket.begin + width / 2):.1f},{y:.1f}")
        return ["M" + " L".join([*points, points[-1]]) for points in paths if points]

    def _axis(self, marks: Sequence[tuple[float, str]]) -> None:
        for share, words in marks:
            y = self._y + PLOT * (1 - share)
            self._parts.append(svg.element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
            self._parts.append(svg.text(words, x=LEFT - 6, y=y + 3.5, class_="note", text_anchor="end"))

    def lives(self, what: str, lives: Iterable[Life]) -> int:
        """A row per pod or target; returns how many had no room."""
        every = moved_first(lives)
        self._parts.append(svg.text(what, x=0, y=self._y + 10, class_="label strong"))
        self._y += 18
        for life in every[:MOST_ROWS]:
            self._parts.append(svg.text(_short(life.name), x=0, y=self._y + 13.5, class_="note mono"))
            for spell in life.spells(self._scale.end):
                words = f"{life.name}: {spell.state} for {spell.end - spell.begin:.1f} s"
                if spell.detail:
                    words += f" ({spell.detail})"
                self._bar(spell.begin, spell.end, f"state {spell.state.replace(' ', '-')}", spell.state, words)
            self._y += ROW + GAP
        self._y += GAP
        return max(0, len(every) - MOST_ROWS)

    def _bar(self, begin: float, end: float, kind: str, label: str, words: str) -> None:
        left, right = self._scale.x(begin), self._scale.x(end)
        wide = max(right - left - 1, 1.0)
        self._parts.append(
            svg.element("rect", svg.title(words), x=left, y=self._y, width=wide, height=ROW, rx=3, class_=kind)
        )
        if wide > CHARACTER * len(label) + 8:
            self._parts.append(svg.text(label, x=left + 6, y=self._y + 13.5, class_=f"in {kind}"))

    def finish(self, line: Timeline, outages: Sequence[Outage]) -> str:
        """The axis below, the outages and the fault over everything."""
        bottom = self._y
        ticks = "".join(self._tick(at, bottom) for at in self._scale.ticks())
        bands = "".join(self._outage(*band, bottom) for band in merged(outages, self._scale.column))
        faults = "".join(self._fault(n, mark.at, mark.text, bottom) for n, mark in enumerate(line.faults))
        cursor = svg.element("line", id="cursor", x1=0, x2=0, y1=24, y2=bottom, class_="cursor", visibility="hidden")
        return svg.element(
            "svg",
            *(bands, *self._parts, ticks, faults, cursor),
            viewBox=f"0 0 {WIDTH:g} {bottom + 36:g}",
            role="img",
            aria_labelledby="chart-title chart-about",
            xmlns="http://www.w3.org/2000/svg",
        )

    def _tick(self, at: float, bottom: float) -> str:
        x, seconds = self._scale.x(at), round(at - self._scale.zero, 3)
        words = "0" if seconds == 0 else f"{seconds:+g}".replace("-", "\N{MINUS SIGN}")
        return svg.element("line", x1=x, x2=x, y1=bottom, y2=bottom + 5, class_="tick") + svg.text(
            f"{words} s", x=x, y=bottom + 19, class_="note", text_anchor="middle"
        )

    def _outage(self, begin: float, end: float, count: int, bottom: float) -> str:
        left = self._scale.x(begin)
        wide = max(self._scale.x(end) - left, NARROW)
        words = f"{count} outages within {end - begin:.3f} s" if count > 1 else f"outage of {end - begin:.3f} s"
        return svg.element("rect", svg.title(words), x=left, y=24, width=wide, height=bottom - 24, class_="outage")

    def _fault(self, number: int, at: float, name: str, bottom: float) -> str:
        x = self._scale.x(at)
        mark = svg.element("line", svg.title(f"fault: {name}"), x1=x, x2=x, y1=20, y2=bottom, class_="fault")
        if number:
            return mark
        return mark + svg.text("fault", x=x, y=14, class_="fault-label", text_anchor="middle")


def merged(outages: Iterable[Outage], near: float) -> list[tuple[float, float, int]]:
    """Begin, end and number of outages of all streams that lie less than `near` seconds apart."""
    bands: list[tuple[float, float, int]] = []
    for outage in sorted(outages, key=lambda o: o.begin):
        if bands and outage.begin - bands[-1][1] < near:
            begin, end, count = bands[-1]
            bands[-1] = (begin, max(end, outage.end), count + 1)
        else:
            bands.append((outage.begin, outage.end, 1))
    return bands


def _short(name: str) -> str:
    """The end of a name is what tells pods apart."""
    return name if len(name) <= 25 else f"\N{HORIZONTAL ELLIPSIS}{name[-24:]}"


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 5, 6, 8, 10 times a power of ten, with a little air."""
    power = 10.0 ** math.floor(math.log10(value))
    return next((n * power for n in (1, 2, 4, 5, 6, 8, 10) if n * power >= value), 10 * power)
