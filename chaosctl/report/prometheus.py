"""A run in the text format of Prometheus, for a textfile collector or a push gateway. Pure.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from chaosctl.chaos.outage import StreamFigures
from chaosctl.chaos.result import Result
from chaosctl.chaos.timeline import Timeline
from chaosctl.chaos.verdict import Verdict

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Family:
    """One metric with all its samples; all are gauges, since each run replaces those of the last."""

    name: str
    help: str
    samples: tuple[tuple[Labels, float], ...]


def prometheus(result: Result, line: Timeline) -> str:
    """The file's text."""
    x = result.experiment
    common = {"environment": x.environment, "fault": x.plan.fault, "mode": x.plan.mode.value, "target": x.target}
    return "".join(_text(family, common) for family in families(result, line) if family.samples)


def _text(family: Family, common: Labels) -> str:
    head = f"# HELP chaosctl_{family.name} {family.help}\n# TYPE chaosctl_{family.name} gauge\n"
    return head + "".join(
        f"chaosctl_{family.name}{_labels({**common, **labels})} {value:.10g}\n" for labels, value in family.samples
    )


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def families(result: Result, line: Timeline) -> Iterator[Family]:
    """All metrics of a run."""
    yield Family(
        "run_verdict", "1 for the verdict of the last run, 0 for the others.",
        tuple(({"verdict": v.value}, float(v is result.verdict)) for v in Verdict),
    )  # fmt: skip
    yield _one("run_timestamp_seconds", "When the run began, in seconds since the epoch.", line.wall)
    yield _one("run_duration_seconds", "How long it took.", line.ended - line.began)
    yield _one(
        "faults_injected",
        "Victims that the fault was done to, as the API or a helper acknowledged.",
        sum(k.acknowledged is not None for k in result.kills),
    )
    yield _one("faults_effective", "Victims that show it.", sum(k.gone for k in result.kills))
    yield from _streams(result.streams)
    yield Family(
        "recovery_seconds",
        "From the acknowledged fault, or the undo of one that is held, until it recovered for good, by clock.",
        tuple(({"clock": name}, s) for name, s in asdict(result.clocks).items() if s is not None),
    )  # fmt: skip
    yield from _budgets(result)
    if result.tester is not None:
        yield _one("prober_lag_seconds", "The tester's own delay, 99th percentile.", result.tester.lag_p99 / 1000)


def _one(name: str, help_: str, value: float) -> Family:
    return Family(name, help_, (({}, float(value)),))


def _streams(streams: Iterable[StreamFigures]) -> Iterator[Family]:
    found = list(streams)
    outcomes = [
        ({"stream": s.stream, "outcome": kind}, float(n))
        for s in found
        for kind, n in s.totals._asdict().items()
        if kind != "scheduled"
    ]
    yield Family(
        "requests",
        "Requests since the injection by stream and outcome; together all that were scheduled.",
        tuple(outcomes),
    )
    yield Family(
        "success_ratio", "Requests that succeeded, of all scheduled.", _each(found, lambda s: s.success_percent / 100)
    )
    yield Family("downtime_seconds", "All outages together.", _each(found, lambda s: s.downtime))
    yield Family("longest_outage_seconds", "The longest outage.", _each(found, lambda s: s.longest))
    yield Family("outages", "How many outages.", _each(found, lambda s: len(s.outages)))
    quantiles = [
        ({"stream": s.stream, "quantile": quantile}, milliseconds / 1000)
        for s in found
        if s.latency
        for quantile, milliseconds in (
            ("0.5", s.latency.p50),
            ("0.95", s.latency.p95),
            ("0.99", s.latency.p99),
            ("1", s.latency.max),
        )
    ]
    yield Family("latency_seconds", "Latency of good requests from the intended send time.", tuple(quantiles))


def _each(
    streams: Iterable[StreamFigures], value: Callable[[StreamFigures], float]
) -> tuple[tuple[Labels, float], ...]:
    return tuple(({"stream": s.stream}, float(value(s))) for s in streams)


def _budgets(result: Result) -> Iterator[Family]:
    budgets = result.experiment.budgets
    yield Family(
        "budget", "What is allowed: success as a ratio, the others in seconds.",
        (({"budget": "success"}, budgets.success_percent / 100), ({"budget": "downtime"}, budgets.downtime_seconds),
         ({"budget": "latency"}, budgets.latency_seconds),
         ({"budget": "recovery"}, budgets.longest_recovery)),
    )  # fmt: skip
