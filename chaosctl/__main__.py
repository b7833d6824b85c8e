"""The program: runs a subcommand, and is the one place where errors become text and an exit status."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from chaosctl.cli.signals import end_like_ctrl_c
from chaosctl.errors import ChaosctlError, ExitStatus, PreconditionFailed, UsageProblem

if TYPE_CHECKING:
    from pathlib import Path


NOT_OUR_FAULT = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EIO)


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
    try:
        return _quietly(lambda: _dispatch(arguments))
    except ChaosctlError as error:
        return _fail(error, arguments)
    except KeyboardInterrupt:
        return _fail(_interrupted(), arguments)
    except Exception as error:
        return _fail(_of_the_machine(error) or _unexpected(error, arguments), arguments)


def _quietly(work: Callable[[], int]) -> int:
    """Whoever reads our output may stop reading (`| head`): that is no error."""
    try:
        status = work()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.OK
    return status


def _dispatch(arguments: Sequence[str]) -> int:
    import typer
    from typer._click.exceptions import ClickException, NoArgsIsHelpError

    from chaosctl.cli.main import app

    group: Any = typer.main.get_command(app)
    try:
        with group.make_context("chaosctl", list(arguments)) as context:
            group.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except NoArgsIsHelpError as help_wanted:
        help_wanted.show()
        return ExitStatus.USAGE
    except ClickException as mistake:
        raise _usage(mistake) from None
    except typer.Abort:  # Ctrl-C or Ctrl-D at a question
        raise KeyboardInterrupt from None
    return ExitStatus.OK


def _usage(mistake: Any) -> UsageProblem:
    path = mistake.ctx.command_path if getattr(mistake, "ctx", None) else "chaosctl"
    message = mistake.format_message().rstrip(".")
    return UsageProblem(message, code="USAGE", remedy=f"see `{path} --help`")


def _interrupted() -> ChaosctlError:
    from chaosctl.cli.command import Interrupted

    return Interrupted("interrupted", code="INTERRUPTED", why="nothing was being changed")


def _of_the_machine(error: Exception) -> ChaosctlError | None:
    """The error for a file that cannot be written for a reason that is the machine's; None for anything else."""
    if not isinstance(error, OSError):
        return None
    place = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PreconditionFailed(
            "the disk is full",
            code="DISK-FULL",
            why=f"{place}{error.strerror}",
            remedy="free some space (`df -h` shows where), then run the same command again: it carries on",
        )
    if error.errno in NOT_OUR_FAULT and error.filename:
        return PreconditionFailed(
            f"{error.filename} cannot be used",
            code="FILE-FORBIDDEN",
            why=f"{error.strerror}, as uid {os.geteuid()}",
            remedy="run it as the user whom the file belongs to, or set CHAOSCTL_STATE_DIR and CHAOSCTL_CACHE_DIR",
        )
    return None


def _unexpected(error: Exception, arguments: Sequence[str]) -> ChaosctlError:
    """A bug of ours: the traceback goes to a file, the user gets a line."""
    try:
        where = f"the traceback is in {_write_traceback(error, arguments)}"
    except (OSError, ChaosctlError) as trouble:
        where = f"the traceback could not be written: {trouble}"
    bug = ChaosctlError(
        f"chaosctl itself failed: {type(error).__name__}: {error}",
        code="INTERNAL",
        why=where,
        remedy="run the same command again, it carries on; report this with that file",
    )
    bug.status = ExitStatus.INTERNAL
    return bug


def _write_traceback(error: Exception, arguments: Sequence[str]) -> Path:
    import platform
    import time
    import traceback

    from chaosctl import __version__, config

    directory = config.state_dir() / "logs"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    facts = f"chaosctl {__version__}, Python {platform.python_version()}, {platform.platform()}"
    path.write_text(f"{facts}\nchaosctl {' '.join(arguments)}\n\n{''.join(traceback.format_exception(error))}")
    return path


def _fail(error: ChaosctlError, arguments: Sequence[str]) -> int:
    from chaosctl.ui.console import print_error

    command = error.command or next((a for a in arguments if not a.startswith("-")), "")
    try:
        print_error(command, error, as_json="--json" in arguments)
    except OSError:  # nobody is there to read it: the status still tells
        _let_go_of_stdout()
    return int(error.status)


if __name__ == "__main__":
    main()
