"""The lab as a target: what `doctor` looks at, and when `down` removes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosctl.adapters import inventory
from chaosctl.config import Settings
from chaosctl.events import Event, Warned
from chaosctl.findings import Level
from chaosctl.lab import cleanup, preflight
from chaosctl.lab.lab import Lab
from chaosctl.lab.layout import Layout
from chaosctl.lab.target import _release, checks, undiverted


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


def test_where_there_can_be_no_lab_nothing_is_left_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr(cleanup, "inventory", lambda _: pytest.fail("looked into /proc"))
    assert [level for level, _ in found("leftovers of a lab")] == [Level.OK]


HOSTILE = {"AWS_PROFILE": "nonsense", "AWS_ENDPOINT_URL_S3": "http://elsewhere", "AWS_SESSION_TOKEN": "x", "HOME": "/h"}


def test_nothing_of_the_users_aws_settings_is_left(tmp_path: Path) -> None:
    env = undiverted(HOSTILE, Layout(tmp_path), "us-west-2")
    assert {env[name] for name in HOSTILE if name.startswith("AWS_")} == {""}
    assert env["AWS_CONFIG_FILE"] == env["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"
    assert "HOME" not in env


def test_the_labs_addresses_are_exempt_from_proxies_beside_the_users_own(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    env = undiverted({"NO_PROXY": "intra.example"}, layout, "us-west-2")
    assert env["NO_PROXY"] == env["no_proxy"]
    assert env["NO_PROXY"].split(",")[0] == "intra.example"
    assert layout.loopback(0) in env["NO_PROXY"].split(",")


@pytest.mark.parametrize(("deployed", "stopped"), [({"default"}, 1), (set(), 1), ({"staging"}, 0)])
def test_the_lab_stays_while_another_environment_is_deployed_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deployed: set[str], stopped: int
) -> None:
    stops, said = list[Lab](), list[Event]()
    monkeypatch.setattr(Lab, "stop", lambda self: stops.append(self))
    monkeypatch.setattr("chaosctl.lab.target._environment", lambda *_: {})
    monkeypatch.setattr(inventory, "environments", lambda _: deployed)
    _release(Lab(Layout(tmp_path), Settings(), said.append), Settings())
    assert len(stops) == stopped
    assert ["staging" in e.text for e in said if isinstance(e, Warned)] == [True] * (1 - stopped)
