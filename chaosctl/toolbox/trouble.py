"""The toolbox's errors, each with what to do about it."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaosctl.errors import ChaosctlError, PreconditionFailed

FULL = (errno.ENOSPC, errno.EDQUOT)
NO_NETWORK = re.compile(
    r"Temporary failure|Could not (resolve|connect)|NewConnectionError|ConnectTimeout|NameResolutionError"
    r"|connection timed out|Network is unreachable|Connection refused",
    re.IGNORECASE,
)


class SourceFailed(PreconditionFailed):
    """One place could not supply a tool; the next one is tried."""

    def __init__(self, what: str, *, why: str = "", code: str = "TOOL-SOURCE", remedy: str = "") -> None:
        super().__init__(what, code=code, why=why, remedy=remedy)


def no_space(place: Path, why: str) -> PreconditionFailed:
    """The disk that holds the cache is full."""
    return PreconditionFailed(
        f"the disk that holds {place} is full",
        code="TOOL-NO-SPACE",
        why=why,
        remedy="free some space, or set CHAOSCTL_CACHE_DIR to a place that has it; what is complete is kept",
    )


def full_disk(error: ChaosctlError) -> bool:
    """Whether a full disk is behind the error, which may be that of a program that was started."""
    return error.code == "TOOL-NO-SPACE" or "no space left on device" in error.why.lower()


def complaint(error: ChaosctlError) -> str:
    """The line in a full disk's error that says so."""
    lines = error.why.splitlines()
    return next((line for line in lines if "no space left" in line.lower()), lines[0] if lines else error.what)


def unreachable(output: str) -> bool:
    """Whether what pip or apt printed means that no server answered."""
    return bool(NO_NETWORK.search(output))


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn the operating system's complaints about writing below `place` into an error with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise no_space(place, str(error)) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR):
            raise PreconditionFailed(
                f"the tool cache {place} cannot be written",
                code="TOOL-CACHE-READONLY",
                why=str(error),
                remedy="set CHAOSCTL_CACHE_DIR to a directory that can be written",
            ) from error
        raise
