"""Sources that fail or hang, and what that costs the others."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chaosctl.errors import PreconditionFailed
from chaosctl.toolbox import Toolbox
from chaosctl.toolbox.debian import Debian
from chaosctl.toolbox.table import Bundle
from tests.unit.toolbox.machine import Ledger, Machine, built, context, debian, machine, wheel

HANG = """
echo $$ > "$0.pid"
sleep 40
touch "$0.ended"
exit 1
"""
MEANWHILE = """
until [ -s "$(dirname "$0")/{other}.pid" ]; do sleep 0.02; done
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return machine(tmp_path / "programs", monkeypatch)


def refusing(package: str, why: str = "E: Failed to fetch") -> str:
    return f'case "$*" in *{package}*) echo "{why}" >&2; exit 100 ;; esac'


def killed(place: Path, name: str) -> bool:
    """Whether a program that hangs was ended before its time."""
    if (place / f"{name}.ended").exists():
        return False
    pid = (place / f"{name}.pid").read_text().strip()
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_one_package_that_cannot_be_had_does_not_cost_the_others(tmp_path: Path, here: Machine) -> None:
    here.apt(refusing("broken"))
    ledger = Ledger()
    Debian(context(tmp_path)).fetch([debian("sound"), debian("broken"), debian("other")], ledger)
    assert (ledger.got, list(ledger.lost)) == (["sound", "other"], ["broken"])


def test_lists_of_packages_are_read_once(tmp_path: Path, here: Machine) -> None:
    here.apt(refusing("broken"))
    Debian(context(tmp_path / "a" / "b")).fetch([debian("broken"), debian("sound")], Ledger())
    assert len((tmp_path / "a" / "updates").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("why", "code"), [("E: Failed to fetch", "TOOL-UNAVAILABLE"), ("No space left on device", "TOOL-NO-SPACE")]
)
def test_go_does_not_go_on_when_apt_has_the_last_word(tmp_path: Path, here: Machine, why: str, code: str) -> None:
    here.apt(MEANWHILE.format(other="go") + refusing("lost", why))
    here.go(HANG)
    error = fails(tmp_path, debian("lost"), built("slow"))
    assert (error.code, killed(here.place, "go")) == (code, True)


def test_apt_and_pip_do_not_go_on_when_go_has_the_last_word(tmp_path: Path, here: Machine) -> None:
    here.apt(HANG)
    here.pip(HANG)
    here.go(MEANWHILE.format(other="apt-get") + MEANWHILE.format(other="pip3") + "echo no such module; exit 1")
    error = fails(tmp_path, debian("slow"), wheel("other"), built("lost"))
    assert "cannot get lost" in error.what
    assert killed(here.place, "apt-get")
    assert killed(here.place, "pip3")


def fails(cache: Path, *table: Bundle) -> PreconditionFailed:
    with pytest.raises(PreconditionFailed) as caught:
        Toolbox(cache, table=table).ensure(*(bundle.name for bundle in table))
    return caught.value


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_outlives_ctrl_c(tmp_path: Path, number: signal.Signals) -> None:
    argv = [sys.executable, "-m", "tests.unit.toolbox.endless", str(tmp_path / "programs"), HANG]
    with subprocess.Popen(argv, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True) as run:
        children = ("apt-get", "pip3", "go")
        try:
            until(lambda: all((tmp_path / "programs" / f"{name}.pid").exists() for name in children))
            assert run.stdout
            assert run.stdout.readline() == "asked\n"
            run.send_signal(number)
            said, _ = run.communicate(timeout=60)
        finally:
            run.kill()
    assert (said, run.returncode) == ("interrupted\n", 0)
    assert [name for name in children if not killed(tmp_path / "programs", name)] == []


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
