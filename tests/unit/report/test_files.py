"""JUnit, Prometheus, and the list of runs."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosctl.chaos import events as e
from chaosctl.chaos.drill import Drilled
from chaosctl.chaos.recovery import Clocks
from chaosctl.chaos.verdict import Verdict
from chaosctl.errors import UsageProblem
from chaosctl.report import runs
from chaosctl.report.junit import junit, not_run
from chaosctl.report.prometheus import prometheus
from chaosctl.report.runs import Told
from tests.unit.chaos.story import FAULT, killed
from tests.unit.report.conftest import Tell

SAMPLE = re.compile(r'^(?P<name>[a-z_]+)\{(?P<labels>[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*)\} (?P<value>[-+.0-9e]+)$')


def suite(told: Told) -> ET.Element:
    found = ET.fromstring(junit(told.result, told.line).split("\n", 1)[1]).find("testsuite")
    assert found is not None
    return found


def test_a_good_run_is_a_green_suite_with_a_case_per_fault_and_budget(good: Told) -> None:
    found = suite(good)
    assert (found.get("failures"), found.get("errors"), found.get("skipped")) == ("0", "0", "0")
    names = [case.get("name") for case in found.findall("testcase")]
    assert len(names) == int(found.get("tests", "0")) == 1 + 1 + 1 + 1 + 3 + 6
    assert "pod-kill web-1" in names and "downtime of at most 1 s on reused connections" in names


def test_a_breached_budget_is_a_failure_of_its_own_case(breached: Told) -> None:
    failed = [c.get("name") for c in suite(breached).findall("testcase") if c.find("failure") is not None]
    assert failed == ["the verdict is PASS"] + [
        f"{budget} on {stream} connections"
        for stream in ("new", "reused")
        for budget in ("success of at least 99 %", "downtime of at most 1 s")
    ]


def test_answers_that_take_too_long_fail_the_case_of_latency_alone(told: Tell) -> None:
    found = suite(told(killed().told({(1.0, 2.0): ("new", "ok", 200)}, latency=1.5)))
    failed = [c.get("name") for c in found.findall("testcase") if c.find("failure") is not None]
    assert failed == ["the verdict is PASS", "99 % of the good answers within 1 s on new connections"]


@pytest.mark.parametrize(
    ("lifted", "said"), [(1.0, "recovered 1.90 s after the undo"), (4.0, "recovered 3.50 s before the undo")]
)
def test_what_is_held_recovers_from_its_undo(told: Tell, lifted: float, said: str) -> None:
    story = killed()
    story.experiment = replace(story.experiment, plan=replace(story.experiment.plan, held=True))
    story.events.append(e.Lifted(FAULT + lifted, "undone"))
    found = told(story.told({(0.1, 0.5): ("both", "reset", 0)}))
    words = [case.findtext("system-out") or "" for case in suite(found).findall("testcase")]
    assert any(said in text for text in words), words


def test_an_invalid_run_is_an_error_and_judges_no_budget(told: Tell) -> None:
    found = suite(told(killed().told()[:-2]))
    assert found.get("failures") == "0"
    assert [c.get("name") for c in found.findall("testcase") if c.find("error") is not None] == [
        "the verdict is PASS",
        "the measurement can be trusted",
    ]
    assert int(found.get("skipped", "0")) == 6


def test_a_step_without_a_run_is_an_error_of_its_own() -> None:
    text = not_run("pod-kill", "REFUSED: too many", datetime(2026, 11, 23, 12, tzinfo=UTC))
    found = ET.fromstring(text.split("\n", 1)[1]).find("testsuite")
    assert found is not None and (found.get("errors"), found.get("timestamp")) == ("1", "2026-11-23T12:00:00")
    (error,) = found.findall("testcase/error")
    assert error.get("message") == "REFUSED: too many"


def numbers(seconds: st.SearchStrategy[float]) -> st.SearchStrategy[float | None]:
    return st.none() | seconds


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # `good` is only read
@given(
    verdict=st.sampled_from(Verdict),
    gone=st.booleans(),
    acknowledged=numbers(st.floats(0, 9)),
    clocks=st.builds(Clocks, *[numbers(st.floats(-1, 9))] * 3),
    alarms=st.lists(st.builds(Drilled, st.just("x"), *[numbers(st.floats(0, 99))] * 2), max_size=1).map(tuple),
    streams=st.booleans(),
)
def test_a_suite_is_green_only_if_the_verdict_is_pass(
    good: Told,
    verdict: Verdict,
    gone: bool,
    acknowledged: float | None,
    clocks: Clocks,
    alarms: tuple[Drilled, ...],
    streams: bool,
) -> None:
    kill = replace(good.result.kills[0], gone=gone, acknowledged=acknowledged)
    result = replace(
        good.result,
        verdict=verdict,
        reasons=(),
        kills=(kill,),
        clocks=clocks,
        alarms=alarms,
        streams=good.result.streams if streams else (),
    )
    found = suite(replace(good, result=result))
    wrong = int(found.get("failures", "0")) + int(found.get("errors", "0"))
    assert verdict is Verdict.PASS or wrong > 0
    assert wrong == len(found.findall(".//failure")) + len(found.findall(".//error"))


@pytest.mark.parametrize(
    ("alarm", "outcome"),
    [(Drilled("5xx", 60, 90), None), (Drilled("5xx", None, None), "failure"), (Drilled("5xx", 60, None), "failure")],
)
def test_every_expected_alarm_is_a_case(good: Told, alarm: Drilled, outcome: str | None) -> None:
    verdict = Verdict.ALARM_SILENT if outcome else Verdict.PASS
    found = suite(replace(good, result=replace(good.result, alarms=(alarm,), verdict=verdict)))
    (case,) = [c for c in found.findall("testcase") if c.get("classname") == "chaosctl.alarm"]
    assert case.get("name") == "the alarm 5xx goes off, and is over again"
    assert (case.find("failure") is not None) == (outcome == "failure")


def samples(told: Told) -> dict[str, float]:
    lines = prometheus(told.result, told.line).splitlines()
    matches = [SAMPLE.match(line) for line in lines if not line.startswith("#")]
    assert all(matches)
    return {f"{m['name']} {m['labels']}": float(m["value"]) for m in matches if m}


def test_metrics_are_well_formed_and_tell_the_verdict(breached: Told) -> None:
    found = samples(breached)
    verdicts = {key: value for key, value in found.items() if key.startswith("chaosctl_run_verdict")}
    assert [key for key, value in verdicts.items() if value] == [k for k in verdicts if 'verdict="SLO BREACHED"' in k]
    (downtime,) = [v for k, v in found.items() if k.startswith("chaosctl_downtime_seconds") and 'stream="new"' in k]
    assert downtime == pytest.approx(2.0)


def test_every_metric_has_help_and_type_once(good: Told) -> None:
    lines = prometheus(good.result, good.line).splitlines()
    named = [line.split("{")[0] for line in lines if not line.startswith("#")]
    for word in ("HELP", "TYPE"):
        told = [line.split()[2] for line in lines if line.startswith(f"# {word}")]
        assert len(told) == len(set(told)) and set(told) == set(named)


def test_requests_of_a_stream_add_up(good: Told) -> None:
    found = samples(good)
    total = sum(v for k, v in found.items() if k.split()[0] == "chaosctl_requests")
    assert total == sum(s.totals.scheduled for s in good.result.streams)


def test_steps_of_a_scenario_are_runs_too(told: Tell, tmp_path: Path) -> None:
    for step in ("01-pod-kill", "02-scale"):
        told(name=f"20261123-150000/{step}")
    assert [run.name for run in runs.runs(tmp_path)] == ["20261123-150000/02-scale", "20261123-150000/01-pod-kill"]
    assert runs.read(runs.find(tmp_path, "20261123-150000/01-pod-kill")).result.verdict.name == "PASS"
    with pytest.raises(UsageProblem, match="no run 20261123-150000") as caught:
        runs.find(tmp_path, "20261123-150000")
    assert "01-pod-kill, 20261123-150000/02-scale" in caught.value.why


def test_runs_are_listed_the_newest_first(told: Tell, tmp_path: Path) -> None:
    told()
    told(killed().told()[:-1], name="20261123-130000")
    (tmp_path / "undo").mkdir()
    (tmp_path / "20261123-140000").mkdir()
    (tmp_path / "20261123-140000" / "journal.jsonl").write_text("no journal")
    found = runs.runs(tmp_path)
    assert [(run.name, run.verdict) for run in found] == [("20261123-130000", ""), ("20261123-120000", "PASS")]
    assert found[1].fault == "pod-kill graceful: 1 Pod, 3 pods were ready"


def test_a_run_is_found_by_name_by_path_or_as_the_newest(told: Tell, tmp_path: Path) -> None:
    journal = told().journal
    for name in ("20261123-120000", str(journal), str(journal.parent), None):
        assert runs.find(tmp_path, name) == journal


@pytest.mark.parametrize("name", [None, "20200101-000000"])
def test_a_run_that_does_not_exist_is_said_to_be_none(tmp_path: Path, name: str | None) -> None:
    with pytest.raises(UsageProblem) as problem:
        runs.find(tmp_path, name)
    assert problem.value.code == "CHAOS-NO-RUN"


def test_a_report_is_written_whole_or_refused(tmp_path: Path) -> None:
    assert runs.write(tmp_path / "r.html", "x").read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
    with pytest.raises(UsageProblem) as problem:
        runs.write(tmp_path / "no" / "r.html", "x")
    assert problem.value.code == "CHAOS-REPORT-UNWRITABLE"
