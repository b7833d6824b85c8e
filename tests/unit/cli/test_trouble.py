"""Odd places to run in: closed streams, full devices, foreign locales, no home, files of others."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from chaosctl import places
from chaosctl.cli import failures, session
from chaosctl.cli.command import Common
from chaosctl.cli.invocation import Invocation
from chaosctl.cli.token import _wanted
from chaosctl.errors import ExitStatus, PreconditionFailed, StageFailed, UsageProblem
from chaosctl.events import Waiting
from tests.unit.cli.conftest import Cli, Inside


def shell(cli: Cli, line: str, **env: str) -> subprocess.CompletedProcess[str]:
    line = line.replace("chaosctl", f"{sys.executable} -m chaosctl")
    return subprocess.run(
        ["bash", "-c", line],
        cwd=cli.cwd,
        env={**cli.env, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(cli: Cli, streams: str) -> None:
    done = shell(cli, f"chaosctl status {streams}")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_stdout_is_told(cli: Cli) -> None:
    done = shell(cli, "chaosctl status > /dev/full")
    assert done.returncode == 3
    assert "DISK-FULL" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    "env", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_foreign_encodings(cli: Cli, env: dict[str, str]) -> None:
    assert shell(cli, "chaosctl status", **env).returncode == 0


@pytest.mark.parametrize("home", ["unset HOME", "export HOME=/proc/nowhere"])
def test_no_usable_home(cli: Cli, home: str) -> None:
    assert shell(cli, f"{home}; chaosctl status").returncode == 0


def test_a_state_directory_that_cannot_be_made(cli: Cli) -> None:
    done = shell(cli, "chaosctl down", CHAOSCTL_STATE_DIR="/sys/nowhere")
    assert done.returncode == 3
    assert "/sys/nowhere" in done.stderr
    assert "What to do:" in done.stderr


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_a_narrow_terminal(cli: Cli, term: str) -> None:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "chaosctl", "smoke"],
        cwd=str(cli.cwd),
        env={**cli.env, "TERM": term},
        dimensions=(5, 20),
        encoding="utf-8",
        timeout=30,
    )
    child.expect("LAB-NOT-RUNNING")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3


@pytest.mark.parametrize("words", ["down --yes", "lab stop --yes", "lab status"])
def test_on_a_system_without_labs_that_is_said(inside: Inside, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    done = inside.run(*words.split())
    assert done.returncode == 3
    assert "it runs Darwin, not Linux" in done.stderr


def test_a_lab_that_does_not_run_has_no_token(cli: Cli) -> None:
    done = cli.run("token")
    assert (done.returncode, done.stdout) == (3, "")
    assert "LAB-NOT-RUNNING" in done.stderr


@pytest.mark.parametrize("text", ["x = [", "[smoke]\nrequests = 0"])
def test_kubectl_may_run_beside_a_malformed_settings_file(cli: Cli, text: str) -> None:
    (cli.cwd / "chaosctl.toml").write_text(text)
    words = ("token", "--cluster-name", "c", "--region", "us-west-2", "--target", "lab")
    assert "LAB-NOT-RUNNING" in cli.run(*words).stderr  # and not CONFIG-INVALID
    assert "CONFIG-INVALID" in cli.run("token").stderr


def token_of(common: Common, cluster: str | None) -> tuple[str, str, str, str | None]:
    return _wanted(session.Session(Invocation(("token",), "token", json=False), common), cluster)


def test_the_command_line_of_our_kubeconfig_entries_says_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chaosctl.toml").write_text("this is not TOML")
    monkeypatch.chdir(tmp_path)
    assert token_of(Common(target="lab", region="eu-west-1"), "c") == ("c", "lab", "eu-west-1", None)
    with pytest.raises(UsageProblem):
        token_of(Common(target="lab"), "c")


def test_what_the_command_line_leaves_out_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chaosctl.toml").write_text('target = "aws"\nprofile = "work"\nregion = "eu-west-1"\n')
    monkeypatch.chdir(tmp_path)
    assert token_of(Common(), "c") == ("c", "aws", "eu-west-1", "work")
    assert token_of(Common(), None)[0] == "chaotic-backend-cluster"


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "DISK-FULL"), (errno.EROFS, "FILE-FORBIDDEN")])
def test_what_the_machine_refuses_is_no_bug_of_ours(number: int, code: str) -> None:
    error = failures.of_the_machine(OSError(number, "no", "/some/file"))
    assert error is not None
    assert (error.code, error.status) == (code, ExitStatus.PRECONDITION)
    assert "/some/file" in str(error)


def test_other_errors_are_ours() -> None:
    assert failures.of_the_machine(OSError(errno.EBADF, "no")) is None
    assert failures.of_the_machine(KeyError("x")) is None


def test_a_full_disk_is_named_beside_what_it_broke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "FULL", 10**18)
    error = session._explained(StageFailed("helm failed", code="X", why="odd", remedy="again"), tmp_path / "state")
    assert f"{tmp_path}/state is full" in error.why
    assert error.remedy.startswith("free some space first")


def test_down_of_a_lab_that_never_was_says_so(cli: Cli) -> None:
    assert json.loads(cli.run("down", "--json").stdout)["result"] == {"left": [], "changed": False}


def test_a_state_directory_that_is_a_file(cli: Cli) -> None:
    (cli.cwd / "file").touch()
    done = shell(cli, "chaosctl down", CHAOSCTL_STATE_DIR=str(cli.cwd / "file"))
    assert done.returncode == 3
    assert "FILE-FORBIDDEN" in done.stderr


def test_nobody_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("CHAOSCTL_STATE_DIR", raising=False)
    monkeypatch.setattr("platformdirs.user_state_dir", nowhere)
    with pytest.raises(PreconditionFailed, match="NO-HOME"):
        places.state_dir()


def test_who_waits_on_a_full_disk_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "FULL", 10**18)
    running = session.Session(Invocation(("up",), "up", json=False), Common())
    for _ in range(3):
        running.emit(Waiting("pods", 9))
    assert capsys.readouterr().err.count("is full") == 1
