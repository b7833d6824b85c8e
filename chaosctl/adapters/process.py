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

from chaosctl.errors import PreconditionFailed, StageFailed

TAIL = 4000  # characters of output that an error carries
TAIL_INTERVAL = 0.05  # seconds between two looks at a file that a program writes to


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
) -> Completed:
    """Run a program to its end and capture what it prints. `env` is added to the environment.

    Raises CommandFailed when `check` and the status is not 0, PreconditionFailed when it cannot be started,
    StageFailed (COMMAND-TIMEOUT) when it ran longer than `timeout` seconds (it is killed).
    """
    args = tuple(str(a) for a in argv)
    try:
        done = subprocess.run(
            args,
            env=environment(env),
            cwd=cwd,
            input=None if stdin is None else stdin.encode(),
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise _missing(args[0]) from error
    except subprocess.TimeoutExpired as error:
        output = (error.stderr or error.stdout or b"").decode(errors="replace")[-TAIL:]
        raise StageFailed(
            f"{Path(args[0]).name} did not end within {timeout:.0f} s",
            code="COMMAND-TIMEOUT",
            why=f"$ {shlex.join(args)}\n{output}",
            remedy="run the command shown to see what it waits for",
        ) from error
    completed = Completed(
        args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
    if check and completed.status != 0:
        raise CommandFailed(completed)
    return completed


def stream(
    argv: Sequence[str | Path],
    on_line: Callable[[str], None],
    *,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    merge: bool = False,
    log: Path | None = None,
    interrupt_grace: float = 60.0,
) -> Completed:
    """Run a program, hand each line of its stdout to `on_line` as it comes, and return it whole.

    With `merge`, what it writes to stderr counts as stdout: for programs that report progress there.

    With `log`, all that it writes goes to that file, and the lines are read from there. Such a program outlives this
    one: were this one killed, the next write to a broken pipe would end the program in the middle of its work.

    The program runs in its own process group: Ctrl-C reaches it exactly once, from here, as SIGINT, so that it can
    put its own things in order; KeyboardInterrupt is raised again once it ended, or was killed after
    `interrupt_grace` seconds.
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
    output = _tail(log, process) if log else process.stdout or ()
    lines: list[str] = []
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
    reader.start()
    with process:  # closes the pipes
        try:
            for line in output:
                lines.append(line)
                on_line(line.rstrip("\n"))
        except KeyboardInterrupt:
            _interrupt(process, interrupt_grace)
            raise
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
            reader.join()
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


def _interrupt(process: subprocess.Popen[str], grace: float) -> None:
    process.send_signal(signal.SIGINT)
    # Its output must be read to the end, or it blocks on a full pipe and never puts its things in order.
    drain = threading.Thread(target=lambda: [None for _ in process.stdout or ()], daemon=True)
    drain.start()
    try:
        process.wait(grace)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):  # too slow, or a second Ctrl-C
        process.kill()
    drain.join()


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
        """Close its stdin, wait `grace` seconds, kill it if need be. Returns its status (negative: the signal)."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
        status = self._process.wait()
        self._reader.join()
        return status

    @property
    def errors(self) -> str:
        """The end of what it wrote to stderr."""
        return b"".join(self._errors).decode(errors="replace")[-TAIL:]
