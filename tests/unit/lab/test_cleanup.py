from pathlib import Path

from chaosctl.lab import cleanup
from chaosctl.lab.layout import Layout


def test_a_lab_that_never_was_leaves_nothing(tmp_path: Path) -> None:
    assert cleanup.inventory(Layout(tmp_path / "lab")) == []


def test_files_of_a_lab_are_seen(tmp_path: Path) -> None:
    assert cleanup.inventory(Layout(tmp_path)) == [f"directory {tmp_path}"]
