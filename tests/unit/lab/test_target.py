"""The lab as a target: what `doctor` looks at, and when `down` removes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosctl.adapters import inventory
from chaosctl.config import Settings
from chaosctl.events import Event, Warned
from chaosctl.findings import Level
from chaosctl.lab import cleanup, preflight
from chaosctl.lab.endpoint import Endpoint
from chaosctl.lab.lab import Lab
from chaosctl.lab.layout import Layout
from chaosctl.lab.target import _release, checks


@pytest.fixture(autouse=True)
def _no_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOSCTL_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(Endpoint, "running", lambda self: False)


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


def test_where_there_can_be_no_lab_nothing_is_left_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr(cleanup, "inventory", lambda _: pytest.fail("looked into /proc"))
    assert [level for level, _ in found("leftovers of a lab")] == [Level.OK]


@pytest.mark.parametrize(("deployed", "stopped"), [({"default"}, 1), (set(), 1), ({"staging"}, 0)])
def test_the_lab_stays_while_another_environment_is_deployed_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deployed: set[str], stopped: int
) -> None:
    stops, said = list[Lab](), list[Event]()
    monkeypatch.setattr(Lab, "stop", lambda self: stops.append(self))
    monkeypatch.setattr(Endpoint, "environment", lambda *_: {})
    monkeypatch.setattr(inventory, "environments", lambda _: deployed)
    _release(Lab(Layout(tmp_path), Settings(), said.append), Settings())
    assert len(stops) == stopped
    assert ["staging" in e.text for e in said if isinstance(e, Warned)] == [True] * (1 - stopped)
