"""The one seam through which programs are started."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from chaosctl.errors import PreconditionFailed, StageFailed
from chaosctl.waiting import Cancellation

TAIL = 4000  # characters of output that an error carries
TAIL_INTERVAL = 0.05  # seconds between two looks at a file that a program writes to
PIPE_SECONDS = 2.0  # for what a program started and left behind to close the pipes that it has from it


@dataclass(frozen=True)
class Completed:
    """A program that ended. `stdout` and `stderr` are decoded as UTF-8, undecodable bytes replaced."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    @property
    def command(self) -> str:
        """The command line, pasteable into a shell."""
        return shlex.join(self.argv)


class CommandFailed(StageFailed):
    """A program ended with another status than 0."""

    def __init__(self, completed: Completed) -> None:
        output = (completed.stderr.strip() or completed.stdout.strip())[-TAIL:]
        super().__init__(
            f"{Path(completed.argv[0]).name} ended with status {completed.status}",
            code="COMMAND-FAILED",
            why=f"$ {completed.command}\n{output}",
            remedy="run the command shown to see it fail by itself",
        )
        self.completed = completed


def _missing(program: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"the program {program} cannot be started",
        code="PROGRAM-MISSING",
        why="no such file, or it is not executable",
        remedy="run `chaosctl tools` to see where each tool comes from",
    )


def environment(extra: Mapping[str, str | None] | None) -> dict[str, str]:
    """This process's environment with `extra` on top; None takes a variable out of it."""
    return {name: value for name, value in {**os.environ, **(extra or {})}.items() if value is not None}


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
    check: bool = True,
    cancellation: Cancellation | None = None,
) -> Completed:
    """Run a program to its end and capture what it prints. `env` is added to the environment.

    It stays in our process group, so that Ctrl-C in the terminal ends it whichever thread waits for it. With
    `cancellation` it has a group of its own, which is killed when that is set: for programs that leave nothing in
    disorder.

    Raises CommandFailed when `check` and the status is not 0, PreconditionFailed when it cannot be started,
    StageFailed (COMMAND-TIMEOUT) when it ran longer than `timeout` seconds (it is killed, with all that it started),
    Cancelled.
    """
    args = tuple(str(a) for a in argv)
    try:
        process = subprocess.Popen(
            args,
            env=environment(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=cancellation is not None,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise _missing(args[0]) from error
    try:
        out, err = _communicate(process, None if stdin is None else stdin.encode(), timeout, cancellation)
    except subprocess.TimeoutExpired as error:
        output = (error.stderr or error.stdout or b"").decode(errors="replace")[-TAIL:]
        raise StageFailed(
            f"{Path(args[0]).name} did not end within {timeout:.0f} s",
            code="COMMAND-TIMEOUT",
            why=f"$ {shlex.join(args)}\n{output}",
            remedy="run the command shown to see what it waits for",
        ) from error
    completed = Completed(args, process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
    if check and completed.status != 0:
        raise CommandFailed(completed)
    return completed


def _communicate(
    process: subprocess.Popen[bytes], stdin: bytes | None, timeout: float | None, cancellation: Cancellation | None
) -> tuple[bytes, bytes]:
    with process, _killed_by(cancellation, process):
        try:
            return process.communicate(stdin, timeout)
        except BaseException:  # TimeoutExpired, KeyboardInterrupt
            _kill_family(process)
            raise


@contextlib.contextmanager
def _killed_by(cancellation: Cancellation | None, process: subprocess.Popen[Any]) -> Iterator[None]:
    """Kill `process`, the leader of its group, and its children when `cancellation` is set; raises Cancelled then."""
    if cancellation is None:
        yield
        return

    def kill() -> None:
        if process.poll() is None:
            _kill_group(process)

    with cancellation.calling(kill):
        try:
            yield
        except BaseException:  # Ctrl-C, which its group does not get, or the time is over
            kill()
            raise


def _kill_family(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and what descends from it, in whichever process group."""
    import psutil  # only trouble needs it

    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    process.kill()


def stream(
    argv: Sequence[str | Path],
    on_line: Callable[[str], None],
    *,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    merge: bool = False,
    log: Path | None = None,
    interrupt_grace: float = 60.0,
    cancellation: Cancellation | None = None,
) -> Completed:
    """Run a program, hand each line of its stdout to `on_line` as it comes, and return it whole.

    With `merge`, what it writes to stderr counts as stdout: for programs that report progress there.

    With `log`, all that it writes goes to that file, and the lines are read from there. Such a program outlives this
    one: were this one killed, the next write to a broken pipe would end the program in the middle of its work.

    The program runs in its own process group: Ctrl-C reaches it exactly once, from here, as SIGINT, so that it can
    put its own things in order; KeyboardInterrupt is raised again once it ended, or was killed after
    `interrupt_grace` seconds. With it ends what it started, when that holds its pipes or when it is killed.
    With `cancellation`, as in `run`, it is killed at once, on Ctrl-C too.
    """
    args = tuple(str(a) for a in argv)
    try:
        with log.open("wb") if log else contextlib.nullcontext() as sink:
            process = subprocess.Popen(
                args,
                env=environment(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=sink or subprocess.PIPE,
                stderr=subprocess.STDOUT if merge or log else subprocess.PIPE,
                start_new_session=True,
                text=True,
                errors="replace",
            )
    except (FileNotFoundError, PermissionError) as error:
        raise _missing(args[0]) from error
    output = _tail(log, process) if log else _lines(process.stdout)
    lines: list[str] = []
    errors: list[str] = []
    reader = _reading(process.stderr, errors.append)
    all_read = threading.Event()
    threading.Thread(target=_end_what_it_left, args=(process, all_read), daemon=True).start()
    try:
        with _killed_by(cancellation, process):
            for line in output:
                lines.append(line)
                on_line(line.rstrip("\n"))
    except KeyboardInterrupt:
        if cancellation is None:
            _interrupt(process, interrupt_grace)
        raise
    except BaseException:
        _kill_group(process)
        if process.stdout:
            process.stdout.close()
        raise
    finally:
        process.wait()
        reader.join(2 * PIPE_SECONDS)
        all_read.set()
    return Completed(args, process.returncode, "".join(lines), "".join(errors))


def _tail(log: Path, process: subprocess.Popen[str]) -> Iterator[str]:
    """The lines of a file that `process` is writing, each when it is complete, until the process ended."""
    with log.open(errors="replace") as file:
        line = ""
        while True:
            ended = process.poll() is not None
            while piece := file.readline():
                line += piece
                if line.endswith("\n"):
                    yield line
                    line = ""
            if ended:
                break
            time.sleep(TAIL_INTERVAL)
        if line:
            yield line


def _lines(pipe: IO[str] | None) -> Iterator[str]:
    """The lines of a pipe until its end. Whoever reads a pipe closes it: on another thread that would wait."""
    if pipe is None:
        return
    for line in pipe:  # noqa: UP028, `yield from` would close it as well when nobody wants another line
        yield line
    pipe.close()


def _reading(pipe: IO[str] | None, on_line: Callable[[str], object]) -> threading.Thread:
    """A thread that reads a pipe to its end."""

    def read() -> None:
        for line in _lines(pipe):
            on_line(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    return reader


def _interrupt(process: subprocess.Popen[str], grace: float) -> None:
    process.send_signal(signal.SIGINT)  # to it alone: what it started, it ends itself
    # Its output must be read to the end, or it blocks on a full pipe and never puts its things in order.
    drain = _reading(process.stdout, lambda _line: None)
    try:
        process.wait(grace)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):  # too slow, or a second Ctrl-C
        _kill_group(process)
    drain.join(2 * PIPE_SECONDS)


def _end_what_it_left(process: subprocess.Popen[str], all_read: threading.Event) -> None:
    """After the end of a program, end what it started and what keeps its pipes from ending."""
    process.wait()
    if not all_read.wait(PIPE_SECONDS):
        _kill_group(process)


def _kill_group(process: subprocess.Popen[Any]) -> None:
    """Kill a program that leads a session of its own, and what it started; also when it has ended itself."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


class Child:
    """A program that runs beside this one and is talked to in lines; Ctrl-C in the terminal does not reach it.

    The end of its stdin is its sign to end: it comes by itself when this process is gone, however it went.
    """

    def __init__(self, argv: Sequence[str | Path], env: Mapping[str, str | None] | None = None) -> None:
        """Start it. Raises PreconditionFailed (PROGRAM-MISSING) when that cannot be done."""
        args = [str(a) for a in argv]
        try:
            self._process = subprocess.Popen(
                args,
                env=environment(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError) as error:
            raise _missing(args[0]) from error
        self._errors: list[bytes] = []
        self._reader = threading.Thread(target=self._read_errors, name=f"stderr of {args[0]}", daemon=True)
        self._reader.start()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as output:
            self._errors.extend(output)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def write(self, line: str) -> None:
        """Send a line to its stdin; nothing happens when it has ended already."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def lines(self) -> Iterator[bytes]:
        """What it prints, line by line, until it closes its stdout. Read by one thread."""
        assert self._process.stdout is not None
        with self._process.stdout as output:
            yield from output

    def end(self, grace: float) -> int:
        """Close its stdin, wait `grace` seconds, kill it if need be. Returns its status (negative: the signal).

        What it started and left behind ends with it.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
        status = self._process.wait()
        _kill_group(self._process)
        self._reader.join(PIPE_SECONDS)
        return status

    @property
    def errors(self) -> str:
        """The end of what it wrote to stderr."""
        return b"".join(self._errors).decode(errors="replace")[-TAIL:]
