"""Ctrl-C on a real terminal, and two runs at once."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pexpect
import pytest

from chaosctl.cli.command import Common
from chaosctl.cli.invocation import Invocation
from chaosctl.cli.lock import held
from chaosctl.cli.session import Session
from chaosctl.errors import Busy
from tests.unit.cli.conftest import Cli, Inside

# `chaosctl controller` with a stage that waits for ever.
WAITING = """
import sys, time
from chaosctl.cli import compose
from chaosctl.stages.controller import Controller

def wait(self, context):
    while True:
        print("READY", file=sys.stderr, flush=True)
        time.sleep(0.2)

Controller.run = wait
compose.open_context = lambda settings, emit, **how: type("Context", (), {"emit": staticmethod(emit)})()
from chaosctl.__main__ import main
sys.argv = ["chaosctl", "controller"]
main()
"""


@pytest.fixture
def waiting(cli: Cli) -> pexpect.spawn:
    child = pexpect.spawn(sys.executable, ["-c", WAITING], cwd=str(cli.cwd), env=cli.env, encoding="utf-8", timeout=30)
    child.expect("READY")
    return child


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_stage_says_where_and_how_to_go_on(waiting: pexpect.spawn, how: int) -> None:
    if how == signal.SIGINT:
        waiting.sendcontrol("c")
    else:
        waiting.kill(how)
    waiting.expect("interrupted in the stage controller")
    waiting.expect("chaosctl controller` again")
    waiting.expect(pexpect.EOF)
    assert "Traceback" not in (waiting.before or "")
    waiting.close()
    assert waiting.exitstatus == 130


def test_a_second_run_names_the_first(waiting: pexpect.spawn, cli: Cli) -> None:
    done = cli.run("infra")
    assert done.returncode == 4
    assert f"process {waiting.pid}" in done.stderr
    assert "chaosctl controller" in done.stderr
    waiting.sendcontrol("c")
    waiting.expect(pexpect.EOF)
    waiting.close()


def test_the_lock_names_the_words_of_this_run_whatever_started_the_process(inside: Inside) -> None:
    running = Session(Invocation.of(["infra", "--region", "eu-west-1"]), Common())
    with running.lock():
        done = inside.run("infra")
    assert done.returncode == 4
    assert "chaosctl infra --region eu-west-1" in done.stderr


def test_the_lock_of_a_killed_run_does_not_matter(waiting: pexpect.spawn, cli: Cli) -> None:
    waiting.kill(signal.SIGKILL)
    waiting.expect(pexpect.EOF)
    waiting.close()
    assert cli.run("down").returncode == 0


def test_the_lock_is_free_afterwards(tmp_path: Path) -> None:
    with held(tmp_path, "one"):
        with pytest.raises(Busy) as caught, held(tmp_path, "two"):
            pass
        assert "one" in caught.value.why
    with held(tmp_path, "three"):
        pass
    assert not (tmp_path / "lock.json").exists()


def test_an_environment_of_which_only_the_lock_is_left_leaves_nothing(tmp_path: Path) -> None:
    environment = tmp_path / "environments" / "lab" / "default"
    with held(environment, "chaosctl down"):
        assert environment.exists()
    assert not list(tmp_path.iterdir())


def test_what_an_environment_keeps_stays(tmp_path: Path) -> None:
    environment = tmp_path / "environments" / "lab" / "default"
    with held(environment, "chaosctl chaos"):
        (environment / "journal").touch()
    assert (environment / "journal").exists()
