"""The program: its streams and signals, one command line, and what is told when that fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from chaosctl.cli.failures import classified, tell
from chaosctl.cli.invocation import Invocation
from chaosctl.cli.signals import end_like_ctrl_c
from chaosctl.errors import ExitStatus


def main() -> None:
    """Entry point of `chaosctl` and of `python -m chaosctl`."""
    end_like_ctrl_c()
    _open_streams()
    status = run(sys.argv[1:])
    _let_go_of_stdout()
    sys.exit(status)


def _open_streams() -> None:
    """Give the program three streams that can be written, whatever it was started with (`>&-`, a foreign locale)."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115, as the stream that it stands for
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _let_go_of_stdout() -> None:
    """What stdout could not take was told already: the interpreter must not fail over it once more."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(arguments: Sequence[str]) -> int:
    """Run one command line (without the program's name); the exit status."""
    said = Invocation.of(arguments)
    try:
        return _quietly(lambda: _dispatch(said))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - here ends whatever happened
        told = classified(error, said)
    try:
        return tell(told, said)
    except OSError:  # nobody is there to read it: the status still tells
        _let_go_of_stdout()
    return int(told.status)


def _quietly(work: Callable[[], int]) -> int:
    """Whoever reads our output may stop reading (`| head`): that is no error."""
    try:
        status = work()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.OK
    return status


def _dispatch(said: Invocation) -> int:
    from chaosctl.cli.main import dispatch  # an import that fails is told as well

    return dispatch(said)


if __name__ == "__main__":
    main()
