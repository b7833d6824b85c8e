from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaosctl.errors import ExitStatus, StageFailed
from chaosctl.ui.console import print_error, print_lines, print_report
from chaosctl.ui.render import Lines, Raw, Report, Table, envelope, error_text, report_json, report_text

ERROR = StageFailed("it broke", code="BROKE", why="first\nsecond", remedy="mend it")


@dataclass(frozen=True)
class Thing:
    name: str
    path: Path


def test_the_envelope_of_a_result() -> None:
    report = Report({"things": [Thing("a", Path("/x"))], "status": ExitStatus.OK, "names": {"b", "a"}})
    assert json.loads(report_json("look", report)) == {
        "schema": 1,
        "command": "look",
        "ok": True,
        "result": {"things": [{"name": "a", "path": "/x"}], "status": 0, "names": ["a", "b"]},
    }


def test_a_bad_answer_is_not_ok_and_still_a_result() -> None:
    envelope = json.loads(report_json("smoke", Report({"passed": False}, status=ExitStatus.CHECK_FAILED)))
    assert (envelope["ok"], envelope["result"]) == (False, {"passed": False})


def test_the_envelope_of_an_error() -> None:
    assert json.loads(envelope("up", error=ERROR)) == {
        "schema": 1,
        "command": "up",
        "ok": False,
        "error": {"code": "BROKE", "status": 5, "what": "it broke", "why": "first\nsecond", "remedy": "mend it"},
    }


def test_what_json_cannot_hold_is_a_bug() -> None:
    with pytest.raises(TypeError):
        report_json("x", Report({"o": object()}))


def test_an_error_says_what_why_and_what_to_do() -> None:
    assert error_text(ERROR).splitlines() == [
        "Error: it broke  [BROKE]",
        "  first",
        "  second",
        "What to do: mend it",
    ]


def test_a_table_keeps_long_cells_when_it_does_not_go_to_a_terminal() -> None:
    address = "k8s-" + "x" * 90
    assert address in report_text(Report({}, (Table(("a", "b"), [(address, "y")]),)))


def test_square_brackets_are_no_markup() -> None:
    assert "[red]x" in report_text(Report({}, (Table(("a",), [("[red]x",)]),)))


def test_blocks_are_separated_by_an_empty_line() -> None:
    assert report_text(Report({}, ("one", "two"))) == "one\n\ntwo"


def test_results_go_to_stdout_only(capsys: pytest.CaptureFixture[str]) -> None:
    print_report("url", Report({"url": "u"}, ("u",)), as_json=False)
    print_report("token", Raw({"kind": "ExecCredential"}), as_json=False)
    assert capsys.readouterr() == ('u\n{"kind": "ExecCredential"}\n', "")


def test_errors_go_to_stderr_and_as_json_to_stdout_too(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("up", ERROR, as_json=False)
    assert capsys.readouterr().out == ""
    print_error("up", ERROR, as_json=True)
    told = capsys.readouterr()
    assert json.loads(told.out)["error"]["code"] == "BROKE"
    assert "it broke" in told.err


def test_lines_come_one_by_one_as_text_or_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [({"text": "a"}, "1 a"), ({"text": "b"}, "2 b")]
    print_lines(Lines(iter(lines)), as_json=False)
    print_lines(Lines(iter(lines)), as_json=True)
    assert capsys.readouterr().out == '1 a\n2 b\n{"text": "a"}\n{"text": "b"}\n'
