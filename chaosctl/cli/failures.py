"""Errors at the edge: which error any exception is, and how it is told. The exit status says the rest."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from chaosctl.errors import ChaosctlError, ExitStatus, PreconditionFailed

if TYPE_CHECKING:
    from chaosctl.cli.invocation import Invocation

NOT_OUR_FAULT = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EIO)


class Interrupted(ChaosctlError):
    """Ctrl-C or SIGTERM."""

    status = ExitStatus.INTERRUPTED


class OurBug(ChaosctlError):
    """What should not have happened."""

    status = ExitStatus.INTERNAL


def classified(error: Exception | KeyboardInterrupt, said: Invocation) -> ChaosctlError:
    """The error to tell: an expected one is itself, anything else is the machine's fault, or ours."""
    if isinstance(error, ChaosctlError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted", code="INTERRUPTED", why="nothing was being changed")
    return of_the_machine(error) or _unexpected(error, said)


def tell(error: ChaosctlError, said: Invocation) -> int:
    """Write it for people, and for machines where JSON was asked for. Raises OSError when nobody can read it."""
    from chaosctl.ui.console import print_error

    print_error(said.command, error, as_json=said.json)
    return int(error.status)


def of_the_machine(error: Exception) -> ChaosctlError | None:
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


def _unexpected(error: Exception, said: Invocation) -> ChaosctlError:
    """A bug of ours: the traceback goes to a file, the user gets a line."""
    try:
        where = f"the traceback is in {_write_traceback(error, said)}"
    except (OSError, ChaosctlError) as trouble:
        where = f"the traceback could not be written: {trouble}"
    return OurBug(
        f"chaosctl itself failed: {type(error).__name__}: {error}",
        code="INTERNAL",
        why=where,
        remedy="run the same command again, it carries on; report this with that file",
    )


def _write_traceback(error: Exception, said: Invocation) -> Path:
    import platform
    import time
    import traceback

    from chaosctl import __version__, places

    directory = places.state_dir() / "logs"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    facts = f"chaosctl {__version__}, Python {platform.python_version()}, {platform.platform()}"
    path.write_text(f"{facts}\nchaosctl {' '.join(said.words)}\n\n{''.join(traceback.format_exception(error))}")
    return path
