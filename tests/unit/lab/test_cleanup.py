import subprocess
import sys
from pathlib import Path

import pytest

from chaosctl.lab import cleanup, processes, supervisor
from chaosctl.lab.layout import Layout


def test_a_lab_that_never_was_leaves_nothing(tmp_path: Path) -> None:
    assert cleanup.inventory(Layout(tmp_path / "lab")) == []


def test_files_of_a_lab_are_seen(tmp_path: Path) -> None:
    assert cleanup.inventory(Layout(tmp_path)) == [f"directory {tmp_path}"]


def test_the_pid_of_somebody_else_is_not_the_supervisors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    monkeypatch.setattr(Layout, "run", tmp_path)
    supervisor.pid_file(layout).write_text("1")
    assert supervisor.pid(layout) == 0


def test_a_family_is_a_process_and_its_descendants() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert processes.family(child.pid) == {child.pid}
        assert processes.family(0) == set()
    finally:
        child.kill()
        child.wait()
