"""What `doctor` looks at for the lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosctl.config import Settings
from chaosctl.findings import Level
from chaosctl.lab import cleanup, preflight
from chaosctl.lab.lab import Lab
from chaosctl.lab.target import checks


@pytest.fixture(autouse=True)
def _no_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOSCTL_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(Lab, "running", lambda self: False)


def found(check: str) -> list[tuple[Level, str]]:
    return [(f.level, f.what) for c in checks(Settings()) if c.name == check for f in c.look()]


def test_a_machine_that_is_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "CHECKS", (lambda *_: [("no overlayfs", "load it")],))
    assert found("this machine") == [(Level.PROBLEM, "no overlayfs")]


def test_a_machine_that_is_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "CHECKS", ())
    assert [level for level, _ in found("this machine")] == [Level.OK]


def test_what_an_earlier_lab_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "inventory", lambda _: ["mount /x"])
    assert [level for level, _ in found("leftovers of a lab")] == [Level.WARNING]
