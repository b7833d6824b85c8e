"""When a build with Go is worth trying."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.toolbox.golang import GoBuild
from chaosctl.toolbox.reach import Reach
from tests.contract.toolbox.mirror import serving
from tests.unit.toolbox.machine import Machine, built, context, machine

DEAD = "http://127.0.0.1:1"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return machine(tmp_path / "programs", monkeypatch)


@pytest.fixture(scope="module")
def proxy() -> Iterator[str]:
    with serving() as running:
        yield running.url


def obstacle(cache: Path) -> str:
    return GoBuild(context(cache)).obstacle(built("tool"))


@pytest.mark.parametrize("order", ["{proxy}", "{proxy},direct", f"{DEAD}|{{proxy}}", "off|{proxy}", "file://{place}"])
def test_modules_can_be_had(tmp_path: Path, here: Machine, proxy: str, order: str) -> None:
    here.go(goproxy=order.format(proxy=proxy, place=tmp_path), cached=False)
    assert obstacle(tmp_path) == ""


@pytest.mark.parametrize("order", ["off", DEAD, f"{DEAD},{{proxy}}", "file:///no/such/directory"])
def test_modules_cannot_be_had(tmp_path: Path, here: Machine, proxy: str, order: str) -> None:
    here.go(goproxy=order.format(proxy=proxy), cached=False)
    assert obstacle(tmp_path) == f"nothing that GOPROXY names can be reached ({order.format(proxy=proxy)})"


@pytest.mark.parametrize(("git", "answers", "good"), [(True, True, True), (True, False, False), (False, True, False)])
def test_direct_needs_git_and_a_way_out(
    tmp_path: Path, here: Machine, monkeypatch: pytest.MonkeyPatch, git: bool, answers: bool, good: bool
) -> None:
    monkeypatch.setenv("PATH", str(here.place))
    monkeypatch.setattr(Reach, "probe", lambda self, urls: None)
    monkeypatch.setattr(Reach, "reachable", lambda self, url: answers)
    if git:
        here.program("git", "")
    here.go(goproxy="direct", cached=False)
    assert (obstacle(tmp_path) == "") is good


def test_cached_modules_will_do(tmp_path: Path, here: Machine) -> None:
    here.go(goproxy="off")
    assert obstacle(tmp_path) == ""


def test_needed_version_is_named(tmp_path: Path, here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    here.go(version="1.19.8")
    assert obstacle(tmp_path) == "Go 1.19.8 is too old, 1.21 or newer is needed"
    (here.place / "go").unlink()
    monkeypatch.setenv("PATH", str(here.place))
    assert obstacle(tmp_path) == "there is no Go on the PATH, 1.21 or newer is needed"
