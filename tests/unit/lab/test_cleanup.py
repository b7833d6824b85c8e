from pathlib import Path

import pytest

from chaosctl.lab import cleanup
from chaosctl.lab.layout import Layout


def test_a_lab_that_never_was_leaves_nothing(tmp_path: Path) -> None:
    assert cleanup.inventory(Layout(tmp_path / "lab")) == []


def test_files_of_a_lab_are_seen(tmp_path: Path) -> None:
    assert cleanup.inventory(Layout(tmp_path)) == [f"directory {tmp_path}"]


def test_mounts_with_blanks_are_recognized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("40 1 0:5 / /srv/my\\040lab/ns rw - tmpfs tmpfs rw\n41 1 0:6 / /srv/other rw - tmpfs tmpfs rw\n")
    monkeypatch.setattr(cleanup, "MOUNTS", mounts)

    assert cleanup._mounts(Layout(Path("/srv/my lab"))) == [Path("/srv/my lab/ns")]
