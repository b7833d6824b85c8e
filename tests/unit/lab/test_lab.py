"""Which lab answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaosctl.config import Settings
from chaosctl.errors import Busy, PreconditionFailed
from chaosctl.events import ignore
from chaosctl.lab import preflight, processes
from chaosctl.lab.lab import Lab
from chaosctl.lab.layout import Layout


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Layout(tmp_path / "lab"), Settings(), ignore)


def refuse(*_: object) -> None:
    raise PreconditionFailed("this machine cannot run the lab", code="LAB-UNFIT")


def test_a_start_that_is_refused_leaves_no_file(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "check_rights", refuse)
    with pytest.raises(PreconditionFailed):
        lab.start()
    assert list(lab.layout.root.parent.iterdir()) == []


def test_whoever_comes_second_is_told_and_leaves_the_lock_to_the_first(lab: Lab) -> None:
    with lab._locked():
        for _ in range(2):
            with pytest.raises(Busy) as caught:
                lab.stop()
            assert caught.value.code == "LAB-BUSY"


def test_the_lock_of_a_lab_that_exists_is_free_afterwards(lab: Lab) -> None:
    lab.layout.root.mkdir()
    (lab.layout.root / "lab.json").touch()
    for _ in range(2):
        with lab._locked():
            pass


@pytest.mark.parametrize("look", [Lab.status, Lab.remains, Lab.stop])
def test_where_there_can_be_no_lab_that_is_said(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, look: Callable[[Lab], object]
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr(processes, "with_environment", lambda entry: pytest.fail("looked into /proc"))
    with pytest.raises(PreconditionFailed) as caught:
        look(lab)
    assert (caught.value.code, caught.value.why) == ("LAB-UNFIT", "it runs Darwin, not Linux")
    assert list(lab.layout.root.parent.iterdir()) == []
