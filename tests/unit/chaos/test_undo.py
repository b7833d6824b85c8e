from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from chaosctl.chaos.undo import UndoLog
from chaosctl.errors import StageFailed, Unreachable


def test_an_entry_is_synced_with_its_directory_before_write_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: kinds.append("dir" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"))
    UndoLog(tmp_path / "undo").write("cordon", "c1", {"node": "a"})
    assert kinds == ["file", "dir"]


def test_what_is_left_is_put_back_newest_first_and_removed(tmp_path: Path) -> None:
    log, undone = UndoLog(tmp_path), list[object]()

    def uncordon(data: Mapping[str, object]) -> str:
        undone.append(data["node"])
        return "uncordoned"

    for node in ("a", "b"):
        log.write("cordon", "c1", {"node": node})
    lines = log.put_back("c1", {"cordon": uncordon})
    assert undone == ["b", "a"]
    assert lines == ["cordon: uncordoned"] * 2
    assert not log.left()


def test_an_entry_stays_when_it_cannot_be_put_back(tmp_path: Path) -> None:
    log = UndoLog(tmp_path)
    log.write("cordon", "c1", {})

    def fail(data: object) -> str:
        raise Unreachable("no answer", code="KUBE-UNREACHABLE")

    with pytest.raises(Unreachable):
        log.put_back("c1", {"cordon": fail})
    assert len(log.left()) == 1


def test_an_entry_for_a_cluster_that_is_gone_is_dropped_untouched(tmp_path: Path) -> None:
    log = UndoLog(tmp_path)
    log.write("cordon", "old", {})
    assert "is gone" in log.put_back("new", {})[0]
    assert not log.left()


def test_an_entry_for_another_cluster_waits_for_it_where_there_may_be_several(tmp_path: Path) -> None:
    log, undone = UndoLog(tmp_path, one_cluster=False), list[object]()
    log.write("cordon", "a", {"node": "n1"})
    assert log.put_back("b", {}) == []

    def uncordon(data: Mapping[str, object]) -> str:
        undone.append(data["node"])
        return "uncordoned"

    assert log.put_back("a", {"cordon": uncordon}) == ["cordon: uncordoned"]
    assert undone == ["n1"] and not log.left()


def test_half_a_file_of_a_killed_run_is_no_entry(tmp_path: Path) -> None:
    (tmp_path / "1-1.undo.new").write_text('{"format"')
    assert UndoLog(tmp_path).left() == ()


def test_an_entry_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "1-1.undo.json").write_text("{")
    with pytest.raises(StageFailed, match="CHAOS-UNDO-UNREADABLE") as error:
        UndoLog(tmp_path).left()
    assert "1-1.undo.json" in error.value.why


def test_one_entry_that_is_stuck_does_not_keep_the_others(tmp_path: Path) -> None:
    log, undone = UndoLog(tmp_path), list[object]()

    def uncordon(data: Mapping[str, object]) -> str:
        if data["node"] == "stuck":
            raise Unreachable("no answer", code="KUBE-UNREACHABLE")
        undone.append(data["node"])
        return "uncordoned"

    for node in ("old", "stuck", "new"):
        log.write("cordon", "c1", {"node": node})
    with pytest.raises(StageFailed, match="CHAOS-UNDO-INCOMPLETE") as error:
        log.put_back("c1", {"cordon": uncordon})
    assert undone == ["new", "old"]
    assert [entry.data["node"] for _, entry in log.left()] == ["stuck"]
    assert "no answer" in error.value.why and "put back: cordon: uncordoned" in error.value.why


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("{", "CHAOS-UNDO-UNREADABLE"),
        ('{"format": 1, "fault": "earthquake", "cluster": "c1", "data": {}, "wall": 1}', "CHAOS-UNDO-UNKNOWN"),
        ('{"format": 1, "fault": "cordon", "cluster": "c1", "data": {}, "wall": 1}', "CHAOS-UNDO-BROKEN"),
    ],
)
def test_an_entry_that_nobody_can_carry_out_is_named_and_the_older_ones_are_put_back(
    tmp_path: Path, entry: str, code: str
) -> None:
    log, undone = UndoLog(tmp_path), list[object]()
    log.write("cordon", "c1", {"node": "a"})
    newest = tmp_path / f"{10**20}-1.undo.json"
    newest.write_text(entry)

    def uncordon(data: Mapping[str, object]) -> str:
        undone.append(data["node"])
        return "uncordoned"

    with pytest.raises(StageFailed) as error:
        log.put_back("c1", {"cordon": uncordon})
    assert code in error.value.why and newest.name in error.value.why
    assert undone == ["a"] and list(tmp_path.iterdir()) == [newest]


def test_what_cannot_be_read_counts_as_left(tmp_path: Path) -> None:
    assert not UndoLog(tmp_path).anything_left()
    (tmp_path / "1-1.undo.json").write_text("{")
    assert UndoLog(tmp_path).anything_left()
