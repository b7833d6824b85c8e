"""A run as JUnit XML: the verdict, a case per fault, budget and alarm, and those for what they rest on. Pure.

The first case is the verdict itself, so that a run that did not pass never is a green suite, whatever the others say.

What is wrong with the service is a failure; what keeps the run from saying anything about it is an error; what
therefore was not judged is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from chaosctl.chaos.outage import StreamFigures
from chaosctl.chaos.result import Kill, Result
from chaosctl.chaos.timeline import Timeline
from chaosctl.chaos.verdict import Verdict

OK, FAILURE, ERROR, SKIPPED = "", "failure", "error", "skipped"
VERDICT = "the verdict is PASS"
NOTHING_DONE = (Verdict.REFUSED, Verdict.NOT_STEADY)
SAYS_NOTHING = (*NOTHING_DONE, Verdict.ABORTED, Verdict.INVALID, Verdict.NO_EFFECT)


@dataclass(frozen=True)
class Case:
    """One test case; `message` says what is wrong, or what was found."""

    group: str
    name: str
    outcome: str
    message: str
    seconds: float = 0.0


def junit(result: Result, line: Timeline) -> str:
    """The file's text."""
    found = list(cases(result))
    counts = {what: sum(case.outcome == what for case in found) for what in (FAILURE, ERROR, SKIPPED)}
    name = f"chaosctl {result.experiment.plan.fault}"
    numbers = {
        "tests": str(len(found)),
        "failures": str(counts[FAILURE]),
        "errors": str(counts[ERROR]),
        "skipped": str(counts[SKIPPED]),
        "time": f"{line.ended - line.began:.3f}",
    }
    root = ET.Element("testsuites", {"name": "chaosctl", **numbers})
    moment = datetime.fromtimestamp(line.wall, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    suite = ET.SubElement(root, "testsuite", {"name": name, "timestamp": moment, "hostname": "chaosctl", **numbers})
    _properties(suite, result, line)
    for case in found:
        _append(suite, case)
    ET.SubElement(suite, "system-out").text = "\n".join(
        [f"{result.verdict.value}: {result.verdict.words}", *result.notes]
    )
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def not_run(step: str, why: str, moment: datetime) -> str:
    """The file's text for a step of a scenario that has no run: it was refused, failed before it began, or its turn
    never came.
    """
    numbers = {"tests": "1", "failures": "0", "errors": "1", "skipped": "0", "time": "0.000"}
    root = ET.Element("testsuites", {"name": "chaosctl", **numbers})
    began = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    attributes = {"name": f"chaosctl {step}", "timestamp": began, "hostname": "chaosctl", **numbers}
    suite = ET.SubElement(root, "testsuite", attributes)
    _append(suite, Case("verdict", VERDICT, ERROR, why))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _properties(suite: ET.Element, result: Result, line: Timeline) -> None:
    known = {
        "verdict": result.verdict.value,
        "exit_status": str(int(result.verdict.status)),
        "seed": str(result.experiment.aim.seed),
        "target": result.experiment.target,
        "environment": result.experiment.environment,
        "repeat": line.repeat,
        "version": line.version,
    }
    properties = ET.SubElement(suite, "properties")
    for name, value in known.items():
        ET.SubElement(properties, "property", {"name": name, "value": value})


def _append(suite: ET.Element, case: Case) -> None:
    attributes = {"classname": f"chaosctl.{case.group}", "name": case.name, "time": f"{case.seconds:.3f}"}
    element = ET.SubElement(suite, "testcase", attributes)
    if case.outcome:
        ET.SubElement(element, case.outcome, {"message": case.message})
    elif case.message:
        ET.SubElement(element, "system-out").text = case.message


def cases(result: Result) -> Iterator[Case]:
    """All cases of a run."""
    yield _verdict(result)
    yield _gate(result)
    yield from _faults(result)
    yield _trusted(result)
    yield from _recoveries(result)
    for stream in result.streams:
        yield from _budgets(result, stream)
    yield from _alarms(result)


def _why(result: Result) -> str:
    return "; ".join(result.reasons) or result.verdict.words


def _verdict(result: Result) -> Case:
    words = f"{result.verdict.value}: {_why(result)}"
    if result.verdict is Verdict.PASS:
        return Case("verdict", VERDICT, OK, result.verdict.words)
    return Case("verdict", VERDICT, ERROR if result.verdict in SAYS_NOTHING else FAILURE, words)


def _gate(result: Result) -> Case:
    wrong = result.verdict in NOTHING_DONE
    return Case(
        "gate", "steady before the fault, within the guard rails", ERROR if wrong else OK, _why(result) if wrong else ""
    )


def _faults(result: Result) -> Iterator[Case]:
    """A case per victim."""
    for kill in result.kills:
        name = f"{result.experiment.plan.fault} {kill.name}"
        if kill.gone:
            yield Case("fault", name, OK, _shown(kill))
        elif kill.acknowledged is None:
            yield Case("fault", name, SKIPPED, "it was not done")
        else:
            yield Case("fault", name, ERROR, f"nothing shows that it happened to {kill.kind} {kill.uid}")


def _shown(kill: Kill) -> str:
    replaced = f", {kill.replacement or 'nothing'} replaced it" if kill.evidence == "gone" else ""
    return f"{kill.kind} {kill.uid}: {kill.evidence}{replaced}"


def _trusted(result: Result) -> Case:
    wrong = result.verdict in (Verdict.INVALID, Verdict.ABORTED)
    return Case("measurement", "the measurement can be trusted", ERROR if wrong else OK, _why(result) if wrong else "")


def _recoveries(result: Result) -> Iterator[Case]:
    budgets, start = result.experiment.budgets, result.experiment.plan.recovers_from
    for clock, seconds in asdict(result.clocks).items():
        budget = budgets.of_clock(clock)
        name = f"recovery of {clock} within {budget:g} s"
        if seconds is not None:
            when = "before" if seconds < 0 else "after"
            words = f"recovered {abs(seconds):.2f} s {when} the {start}, allowed are {budget:g} s"
            outcome = OK if budgets.keeps_clock(clock, seconds) else FAILURE
            yield Case("recovery", name, outcome, words, max(seconds, 0.0))
        elif result.verdict is Verdict.NOT_RECOVERED:
            yield Case(
                "recovery", name, FAILURE if clock != "targets" or _targets_sick(result) else SKIPPED, _why(result)
            )
        else:
            yield Case("recovery", name, SKIPPED, "not measured")


def _targets_sick(result: Result) -> bool:
    return not any("no load balancer" in note for note in result.notes)


def _budgets(result: Result, s: StreamFigures) -> Iterator[Case]:
    budgets = result.experiment.budgets
    found = (
        (
            f"success of at least {budgets.success_percent:g} % on {s.stream} connections",
            budgets.keeps_success(s.success_percent),
            f"{s.success_percent:.3f} % of {s.totals.scheduled} requests succeeded",
        ),
        (
            f"downtime of at most {budgets.downtime_seconds:g} s on {s.stream} connections",
            budgets.keeps_downtime(s.downtime),
            f"{s.downtime:.3f} s of downtime in {len(s.outages)} outages, the longest {s.longest:.3f} s",
        ),
        (
            f"99 % of the good answers within {budgets.latency_seconds:g} s on {s.stream} connections",
            budgets.keeps_latency(s.latency.p99 if s.latency else None),
            f"99 % came within {s.latency.p99 / 1000:.3f} s" if s.latency else "there were none",
        ),
    )
    for name, kept, words in found:
        if result.verdict in SAYS_NOTHING:
            yield Case("budget", name, SKIPPED, f"{result.verdict.value}: not judged")
        else:
            yield Case("budget", name, OK if kept else FAILURE, words)


def _alarms(result: Result) -> Iterator[Case]:
    """A case per alarm that was to go off."""
    for alarm in result.alarms:
        name = f"the alarm {alarm.name} goes off, and is over again"
        if alarm.went_off is not None and alarm.was_over is not None:
            words = f"off {alarm.went_off:.0f} s after the fault, over {alarm.was_over:.0f} s after its end"
            yield Case("alarm", name, OK, words, max(alarm.went_off, 0.0))
        elif result.verdict in SAYS_NOTHING:
            yield Case("alarm", name, SKIPPED, f"{result.verdict.value}: not judged")
        else:
            yield Case("alarm", name, FAILURE, "it did not go off" if alarm.went_off is None else "it was not over")
