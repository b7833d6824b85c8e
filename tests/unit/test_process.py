import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from chaosctl.adapters.process import CommandFailed, run, stream
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
