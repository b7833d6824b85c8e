"""What the page says, in words and tables: everything but its looks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from chaosctl.chaos import outage
from chaosctl.chaos.advisor import Advice
from chaosctl.chaos.cluster import Place
from chaosctl.chaos.experiment import Budgets
from chaosctl.chaos.outage import StreamFigures
from chaosctl.chaos.requests import STREAMS
from chaosctl.chaos.result import Result
from chaosctl.chaos.timeline import ABSENT, Life, Timeline
from chaosctl.chaos.verdict import Verdict
from chaosctl.report.buckets import Bucket
from chaosctl.report.chart import CLOCK_NAMES, Chart
from chaosctl.report.runs import describe

SIGNS = {"good": "\N{CHECK MARK}", "bad": "\N{MULTIPLICATION SIGN}", "unsure": "?"}
MOST_ROWS = 400  # of a table of the time line
LEGEND = (
    ("--good-fill", "ok, ready, healthy"),
    ("--bad-fill", "failed, crashed"),
    ("--slow-fill", "timed out, not ready, unhealthy"),
    ("--warn-fill", "starting, initial"),
    ("--wait-fill", "waiting for the load balancer"),
    ("--end-fill", "ending, draining (hatched)"),
    ("--good", "p50 of latency"),
    ("--wait-fill", "p99 of latency"),
    ("--outage", "outage"),
)


@dataclass(frozen=True)
class Figure:
    """One of the big numbers on top. `tone` is good, bad or unsure."""

    name: str
    value: str
    allowed: str
    tone: str


@dataclass(frozen=True)
class Grid:
    """A table; `numbers` are columns that are aligned to the right."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Advised:
    """A piece of advice in words."""

    title: str
    because: str
    setting: str
    requests: str


class Page:
    """A run as the template wants it."""

    def __init__(self, result: Result, line: Timeline, chart: Chart, advice: Sequence[Advice]) -> None:
        plan, moment = result.experiment.plan, datetime.fromtimestamp(line.wall, UTC)
        self.version, self.repeat = line.version, line.repeat
        self.verdict, self.words = result.verdict.value, _sentence(result.verdict.words)
        self.tone = tone_of(result.verdict)
        self.sign = SIGNS[self.tone]
        self.reasons, self.notes = [_sentence(r) for r in result.reasons], [_sentence(n) for n in result.notes]
        self.what = describe(plan)
        self.where = f"{result.experiment.target}/{result.experiment.environment}, namespace {plan.place.namespace}"
        self.iso, self.when = moment.isoformat(timespec="seconds"), f"{moment:%-d %B %Y %H:%M:%S} UTC"
        self.figures = figures(result)
        self.legend = LEGEND
        self.about = _about(line, chart)
        self.columns = columns(line, chart)
        self.first = self._first_column(line, chart)
        self.advice = [advised(a) for a in advice]
        self.tables = [t for t in (traffic(result), spans(result), victims(result)) if t.rows]
        self.facts = facts(result, line)
        self.details = details(result, line, chart)

    def _first_column(self, line: Timeline, chart: Chart) -> int:
        at = line.fault_at or chart.begin
        return max(0, min(len(chart.buckets) - 1, int((at - chart.begin) / chart.width)))


def tone_of(verdict: Verdict) -> str:
    """good, bad, or unsure: what says nothing about the service."""
    if verdict is Verdict.PASS:
        return "good"
    return "bad" if verdict in (Verdict.SLO_BREACHED, Verdict.NOT_RECOVERED) else "unsure"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "?", "!")) else ".")


def figures(result: Result) -> list[Figure]:
    """Success, downtime and latency of the worse stream, and the clocks, each against its budget."""
    if not result.streams:
        return []
    budgets = result.experiment.budgets
    success = min(s.success_percent for s in result.streams)
    downtime = max(s.downtime for s in result.streams)
    return [
        _figure("Success", f"{success:.3f} %", f"at least {budgets.success_percent:g} % of requests",
                budgets.keeps_success(success)),
        _figure("Downtime", f"{downtime:.3f} s", f"at most {budgets.downtime_seconds:g} s",
                budgets.keeps_downtime(downtime)),
        *_latency_figure(result, budgets),
        *_clock_figures(result, budgets),
    ]  # fmt: skip


def _latency_figure(result: Result, budgets: Budgets) -> Iterable[Figure]:
    slowest = outage.slowest(result.streams)
    if slowest is not None:
        good = budgets.keeps_latency(slowest)
        yield _figure("Latency, p99", f"{slowest / 1000:.3f} s", f"at most {budgets.latency_seconds:g} s", good)


def _clock_figures(result: Result, budgets: Budgets) -> Iterable[Figure]:
    for name, seconds in asdict(result.clocks).items():
        allowed = f"at most {budgets.of_clock(name):g} s after the {result.experiment.plan.recovers_from}"
        label = _sentence(CLOCK_NAMES[name])[:-1]
        if seconds is None:
            yield Figure(label, "\N{EN DASH}", "not measured or not reached", "unsure")
        else:
            yield _figure(label, f"{seconds:.2f} s", allowed, budgets.keeps_clock(name, seconds))


def _figure(name: str, value: str, allowed: str, good: bool) -> Figure:
    return Figure(name, value, allowed, "good" if good else "bad")


def _about(line: Timeline, chart: Chart) -> str:
    """The picture in a few sentences, also for those who do not see it."""
    sent = sum(len(requests) for requests in line.requests.values())
    failed = len(line.bad())
    words = [
        f"{sent} requests over {line.ended - chart.begin:.0f} s in columns of {chart.width:g} s, "
        f"{failed or 'none'} of them failed.",
        f"{len(line.pods)} pods, {len(line.targets)} targets of the load balancer.",
    ]
    if line.fault_at is None:
        words.append("No fault was injected.")
    if chart.hidden:
        words.append(f"{chart.hidden} pods and targets are only in the tables.")
    return " ".join(words)


def columns(line: Timeline, chart: Chart) -> list[str]:
    """Every column in words: what the cursor reads out."""
    zero = line.fault_at if line.fault_at is not None else chart.begin
    return [_column(bucket, zero, chart.width, line) for bucket in chart.buckets]


def _column(bucket: Bucket, zero: float, width: float, line: Timeline) -> str:
    good = sum(bucket.of_class(stream, "ok") for stream in STREAMS)
    failed = ", ".join(f"{n} {kind}" for kind, n in sorted(bucket.failed.items())) or "none failed"
    latency = bucket.latency(50)
    slow = f"; p50 {latency:.1f} ms, p99 {bucket.latency(99):.1f} ms" if latency is not None else ""
    middle = bucket.begin + width / 2
    return (
        f"{bucket.begin - zero:+.{digits(width)}f} s: {good} ok, {failed}{slow}; pods: {_tally(line.pods, middle)}; "
        f"targets: {_tally(line.targets, middle)}"
    )


def digits(width: float) -> int:
    """Decimals that tell columns of this width apart."""
    return 2 if width < 1 else 0


def _tally(lives: Mapping[str, Life], at: float) -> str:
    states = [life.state_at(at) for life in lives.values()]
    counted = {state: states.count(state) for state in dict.fromkeys(states) if state != ABSENT}
    return ", ".join(f"{n} {state}" for state, n in counted.items()) or "none"


def advised(advice: Advice) -> Advised:
    """Advice in words."""
    count = f"{advice.requests} request{'s' if advice.requests != 1 else ''}"
    return Advised(_sentence(advice.title)[:-1], advice.because, advice.setting, f"{count}: {advice.outcomes}")


def traffic(result: Result) -> Grid:
    """The account: scheduled = ok + bad + timed out + unsent."""
    columns = ("connections", "scheduled", "ok", "bad", "timed out", "unsent", "success", "downtime", "longest outage",
               "outages", "p50", "p95", "p99", "max")  # fmt: skip
    caption = (
        f"{result.experiment.traffic.url}, {result.experiment.traffic.rate:g} requests a second on each stream, from "
        "the injection on. Scheduled = ok + bad + timed out + unsent, exactly."
    )
    rows = [_stream(s) for s in result.streams]
    return Grid("What users noticed", columns, rows, caption, tuple(range(1, len(columns))))


def _stream(s: StreamFigures) -> tuple[str, ...]:
    slow = s.latency
    latency = [f"{v:.1f} ms" for v in (slow.p50, slow.p95, slow.p99, slow.max)] if slow else [""] * 4
    bound = f" (fails < {s.bound_percent:.2f} %)" if s.bound_percent is not None else ""
    return (
        s.stream, *(str(n) for n in s.totals), f"{s.success_percent:.3f} %{bound}", f"{s.downtime:.3f} s",
        f"{s.longest:.3f} s", str(len(s.outages)), *latency,
    )  # fmt: skip


def spans(result: Result) -> Grid:
    """How long answers took before, during and after a fault that lasts; no rows for one that does not."""
    columns = ("connections", "the fault", "requests", "failed", "p50", "p95", "p99", "max")
    rows = []
    for s in result.spans:
        slow = s.latency
        latency = [f"{v:.1f} ms" for v in (slow.p50, slow.p95, slow.p99, slow.max)] if slow else [""] * 4
        rows.append((s.stream, s.when, str(s.requests), str(s.requests - s.ok), *latency))
    caption = "By the time at which a request was to be sent; the fault ends when its undo was acknowledged."
    return Grid("Before, during and after it", columns, rows, caption, tuple(range(2, len(columns))))


def victims(result: Result) -> Grid:
    """Who was hit, and what took its place."""
    rows = [
        (
            k.name if k.kind == "Pod" else f"{k.kind} {k.name}",
            k.uid,
            k.node,
            "not hit" if k.acknowledged is None else f"{k.acknowledged:.2f} s",
            k.evidence if k.gone else "nothing",
            k.replacement,
            k.replacement_uid,
        )
        for k in result.kills
    ]
    columns = ("victim", "UID", "node", "acknowledged", "what shows it", "replacement", "UID of the replacement")
    return Grid("Who was hit, and what took its place", columns, rows)


def facts(result: Result, line: Timeline) -> list[list[tuple[str, str]]]:
    """Two lists of names and values: the experiment, and the tester."""
    x, t, place = result.experiment, result.tester, result.experiment.plan.place
    experiment = [
        ("Seed", str(x.aim.seed)),
        ("Cluster", _identity(place)),
        ("Pods", f"{place.namespace}, {place.selector}"),
        ("Traffic", f"{x.traffic.url}, time-out {x.traffic.timeout:g} s"),
        (
            "Phases",
            f"steady {x.timing.steady:g} s, observed at least {x.timing.observe:g} s, clean {x.timing.clean:g} s",
        ),
    ]
    seen = max((s.visible for s in result.streams), default=1 / x.traffic.rate)
    tester = [("Smallest visible outage", f"{1000 * seen:.0f} ms (one period and the tester's own worst delay)")]
    if t is not None:
        tester += [
            ("Tester's own delay", f"p99 {t.lag_p99:.1f} ms, worst {t.lag_max:.1f} ms (over 25 ms: invalid)"),
            ("Control channel", f"{t.control_failures} of {t.control_requests} requests failed"),
            ("Beside the service", f"{t.remote_failures} of {t.remote_requests} requests failed"),
        ]
        if t.cpu_percent is not None:
            tester.append(("Tester's processor time", f"{t.cpu_percent:.1f} % of a core"))
    return [experiment, [*tester, ("Journal", "complete" if line.closed else "cut short")]]


def _identity(place: Place) -> str:
    return f"{place.cluster}{f', account {place.account}' if place.account else ''}"


def details(result: Result, line: Timeline, chart: Chart) -> list[Grid]:
    """The picture as tables."""
    zero = line.fault_at if line.fault_at is not None else chart.begin
    return [
        _events(line, zero),
        _lives("Pods", line.pods, line, zero),
        _lives("Load balancer targets", line.targets, line, zero),
        _outages(result, zero),
        _buckets(chart, zero),
    ]


def _events(line: Timeline, zero: float) -> Grid:
    found = [(at, f"phase {name}") for name, at in line.phases]
    found += [(m.at, f"fault acknowledged: {m.text}") for m in line.faults] + [(m.at, m.text) for m in line.notes]
    rows = [(f"{at - zero:+.3f} s", words) for at, words in sorted(found)[:MOST_ROWS]]
    return Grid("Phases, faults and trouble", ("time", "event"), rows)


def _lives(title: str, lives: Mapping[str, Life], line: Timeline, zero: float) -> Grid:
    rows = [
        (life.name, spell.state, f"{spell.begin - zero:+.2f} s", f"{spell.end - spell.begin:.2f} s", spell.detail)
        for life in lives.values()
        for spell in life.spells(line.ended)
    ]
    return Grid(title, ("name", "state", "from", "for", "why"), _bounded(rows), numbers=(2, 3))


def _outages(result: Result, zero: float) -> Grid:
    rows = [
        (s.stream, f"{o.begin - zero:+.3f} s", f"{o.seconds:.3f} s", str(o.requests),
         ", ".join(f"{n} {kind}" for kind, n in o.kinds))
        for s in result.streams for o in s.outages
    ]  # fmt: skip
    return Grid("Outages", ("connections", "from", "lasted", "requests", "how"), _bounded(rows), numbers=(1, 2, 3))


def _buckets(chart: Chart, zero: float) -> Grid:
    rows = [
        (
            f"{b.begin - zero:+.{digits(chart.width)}f} s",
            *(str(b.of_class(stream, "ok")) for stream in STREAMS),
            ", ".join(f"{n} {kind}" for kind, n in sorted(b.failed.items())),
            *("" if b.latency(p) is None else f"{b.latency(p):.1f} ms" for p in (50, 99)),
        )
        for b in chart.buckets
    ]
    names = ("from", *(f"ok, {stream}" for stream in STREAMS), "failed", "p50", "p99")
    return Grid(f"Requests in columns of {chart.width:g} s", names, rows, numbers=(1, 2, 4, 5))


def _bounded(rows: Sequence[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
    """All rows, or the first ones and a word about the rest."""
    if len(rows) <= MOST_ROWS:
        return rows
    return [*rows[:MOST_ROWS], (f"and {len(rows) - MOST_ROWS} more, in the journal", *[""] * (len(rows[0]) - 1))]
