from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaosctl.chaos.experiment import Aim
from chaosctl.chaos.result import Result
from chaosctl.chaos.runner import run
from chaosctl.chaos.verdict import Verdict
from chaosctl.errors import UsageProblem
from chaosctl.report import runs
from chaosctl.report.journal import Journal
from tests.unit.chaos.fakes import cluster_of, experiment, world


def judged(directory: Path, lines: list[bytes]) -> Result:
    """What comes of a file with these lines alone."""
    (directory / "lines").write_bytes(b"".join(lines))
    return runs.read(directory / "lines").result


@pytest.fixture
def journalled(tmp_path: Path) -> tuple[Result, list[bytes]]:
    cluster = cluster_of(6)
    with Journal(tmp_path / "run") as journal:
        made = world(cluster, tmp_path, interrupt=threading.Event())
        object.__setattr__(made, "emit", journal.emit)
        result = run(experiment(cluster, Aim(seed=3, count=2)), made)
    return result, journal.path.read_bytes().splitlines(keepends=True)


def test_the_journal_alone_gives_the_same_result(journalled: tuple[Result, list[bytes]], tmp_path: Path) -> None:
    result, lines = journalled
    assert result.verdict is Verdict.PASS
    assert judged(tmp_path, lines) == result


def test_a_journal_that_was_cut_anywhere_never_passes(journalled: tuple[Result, list[bytes]], tmp_path: Path) -> None:
    _, lines = journalled
    for end in range(1, len(lines) - 2):
        cut = [*lines[:end], lines[end][: len(lines[end]) // 2]]
        assert judged(tmp_path, cut).verdict is not Verdict.PASS


@pytest.mark.parametrize(
    "text", [b"", b"{}\n", b"nothing", b'{"type": "Ended", "at": 1, "verdict": "", "reasons": []}\n']
)
def test_what_is_no_journal_is_said_to_be_none(text: bytes, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem) as problem:
        judged(tmp_path, [text])
    assert problem.value.code == "CHAOS-NO-JOURNAL"


def test_a_journal_of_an_earlier_version_can_be_read(journalled: tuple[Result, list[bytes]], tmp_path: Path) -> None:
    """It knows nothing of what is written down since: places beside the service, attempts, exit codes."""
    result, lines = journalled
    old = [_older(line) for line in map(msgspec.json.decode, lines) if line["type"] not in ("Attempted", "Declined")]
    again = judged(tmp_path, [msgspec.json.encode(line) + b"\n" for line in old])
    assert (again.verdict, again.streams, again.clocks) == (result.verdict, result.streams, result.clocks)


def _older(line: dict[str, Any]) -> dict[str, Any]:
    match line["type"]:
        case "ExperimentStarted":
            del line["experiment"]["traffic"]["control"]
        case "RequestsSeen":
            del line["waiting"]
        case "PodSeen":
            del line["pod"]["exits"]
    return line
