import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from chaosctl.adapters.process import Child, CommandFailed, run, stream
from chaosctl.errors import PreconditionFailed, StageFailed
from chaosctl.waiting import Cancellation, Cancelled

PYTHON = sys.executable


def test_output_and_status_are_captured() -> None:
    done = run([PYTHON, "-c", "import sys; print('out'); print('err', file=sys.stderr)"])
    assert (done.status, done.stdout, done.stderr) == (0, "out\n", "err\n")


def test_a_failure_carries_command_and_output() -> None:
    with pytest.raises(CommandFailed) as failure:
        run([PYTHON, "-c", "import sys; sys.exit('it broke')"])
    assert "it broke" in failure.value.why
    assert f"$ {PYTHON} -c 'import sys" in failure.value.why


def test_a_missing_program_is_a_precondition() -> None:
    with pytest.raises(PreconditionFailed, match="cannot be started"):
        run(["no-such-program"])
    with pytest.raises(PreconditionFailed, match="cannot be started"):
        stream(["no-such-program"], lambda line: None)


def test_a_timeout_kills_and_says_so() -> None:
    with pytest.raises(StageFailed, match="did not end within"):
        run([PYTHON, "-c", "import time; time.sleep(60)"], timeout=0.2)


def test_lines_come_as_they_are_written() -> None:
    seen: list[tuple[str, float]] = []
    code = "import time; print('a', flush=True); time.sleep(0.3); print('b')"
    stream([PYTHON, "-c", code], lambda line: seen.append((line, time.monotonic())))
    assert [line for line, _ in seen] == ["a", "b"]
    assert seen[1][1] - seen[0][1] > 0.2


def test_ctrl_c_reaches_the_program_once_and_lets_it_finish() -> None:
    code = (
        "import signal, sys, time\n"
        "seen = []\n"
        "signal.signal(signal.SIGINT, lambda *a: (seen.append(1), print('interrupted', flush=True)))\n"
        "print('ready', flush=True)\n"
        "deadline = time.monotonic() + 30\n"
        "while not seen and time.monotonic() < deadline: time.sleep(0.01)\n"
        "time.sleep(0.3)\n"
        "open(sys.argv[1], 'w').write(str(len(seen)))\n"
    )
    read, write = os.pipe()
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        if line == "ready":
            threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        stream([PYTHON, "-c", code, f"/proc/{os.getpid()}/fd/{write}"], on_line)
    assert os.read(read, 10) == b"1"
    os.close(read)
    os.close(write)


# Starts a program that holds its pipes for half a minute and then says in a file that nobody ended it; tells its pid.
LEAVES = """
import subprocess, sys, time
stays = "import sys, time; time.sleep(30); open(sys.argv[1], 'w').close()"
print(subprocess.Popen([sys.executable, "-c", stays, sys.argv[1]]).pid, flush=True)
"""
WAITS = LEAVES + "time.sleep(60)"
IGNORES = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" + WAITS


def ended(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def unended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what was left behind says that it ended by itself."""
    monkeypatch.setattr("chaosctl.adapters.process.PIPE_SECONDS", 0.2)
    return tmp_path / "unended"


@pytest.mark.parametrize("more", ["", "sys.stdout.close()", "sys.stderr.close()"])
def test_what_a_program_leaves_behind_does_not_hold_us_up(unended: Path, more: str) -> None:
    pids: list[str] = []
    assert stream([PYTHON, "-c", LEAVES + more, unended], pids.append).status == 0
    assert not unended.exists()
    assert ended(int(pids[0]))


def test_an_error_of_ours_ends_the_program_with_what_it_started(unended: Path) -> None:
    pids: list[str] = []

    def fail(line: str) -> None:
        pids.append(line)
        raise ValueError(line)

    with pytest.raises(ValueError, match=r"\d"):
        stream([PYTHON, "-c", WAITS, unended], fail)
    assert ended(int(pids[0]))
    assert not unended.exists()


@pytest.mark.parametrize("code", [WAITS, IGNORES], ids=["that ends", "that does not"])
def test_ctrl_c_ends_a_program_with_what_it_started(unended: Path, code: str) -> None:
    pids: list[str] = []

    def interrupt(line: str) -> None:
        pids.append(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream([PYTHON, "-c", code, unended], interrupt, interrupt_grace=0.5)
    assert ended(int(pids[0]))
    assert not unended.exists()


def test_a_timeout_ends_a_program_with_what_it_started() -> None:
    with pytest.raises(StageFailed, match="did not end within") as failure:
        run(["sh", "-c", "sleep 60 & echo $!; wait"], timeout=1)
    assert ended(int(failure.value.why.splitlines()[-1]))


@pytest.mark.parametrize("code", [LEAVES, WAITS], ids=["that ends", "that does not"])
def test_a_child_ends_with_what_it_started(unended: Path, code: str) -> None:
    child = Child([PYTHON, "-c", code, str(unended)])
    pid = int(next(iter(child.lines())))
    child.end(0.5)
    assert ended(pid)
    assert not unended.exists()


CHILD = "(sleep 30; touch ended) & echo ready; wait"


def test_a_program_that_nobody_wants_any_more_is_killed_with_its_children(tmp_path: Path) -> None:
    cancellation = Cancellation()
    with pytest.raises(Cancelled):
        stream(["sh", "-c", CHILD], lambda line: cancellation.set(), cwd=tmp_path, cancellation=cancellation)
    assert list(tmp_path.iterdir()) == []


def test_captured_programs_are_killed_too(tmp_path: Path) -> None:
    cancellation = Cancellation()
    os.mkfifo(tmp_path / "ready")

    def cancel() -> None:
        (tmp_path / "ready").read_text()
        cancellation.set()

    reader = threading.Thread(target=cancel)
    reader.start()
    with pytest.raises(Cancelled):
        run(["sh", "-c", f"echo > ready; {CHILD}"], cwd=tmp_path, cancellation=cancellation)
    reader.join()
    assert not (tmp_path / "ended").exists()


def test_a_program_that_ended_before_is_not_missed() -> None:
    cancellation = Cancellation()
    assert run([PYTHON, "-c", "print(1)"], cancellation=cancellation).stdout == "1\n"
    cancellation.set()
