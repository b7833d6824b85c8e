"""The one error hierarchy. An error says what failed, why, and what to do next.

Codes are stable (scripts match on them) and listed in docs/errors.md, which a test keeps complete.
"""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of the program; docs/exit-statuses.md explains each."""

    OK = 0
    INTERNAL = 1  # a bug in chaosctl: the only case in which a traceback is written, to the log file
    USAGE = 2  # wrong words on the command line or in chaosctl.toml
    PRECONDITION = 3  # this machine, account or configuration cannot run it
    BUSY = 4  # another run holds the lock
    STAGE_FAILED = 5  # a stage did not reach its goal
    LEFTOVERS = 6  # `down` ended, but something is left
    UNREACHABLE = 7  # an API that should answer does not
    CHECK_FAILED = 8  # smoke: it serves, but not correctly or not quickly enough
    DIFFERENT = 9  # `plan`: something would change; `status --drift`: something has
    SLO_BREACHED = 10
    NOT_RECOVERED = 11
    NOT_STEADY = 12
    NO_EFFECT = 13
    REFUSED = 14
    ABORTED = 15
    INVALID = 16
    ALARM_SILENT = 17
    INTERRUPTED = 130


class ChaosctlError(Exception):
    """An expected failure.

    code    stable identifier, upper case with dashes, for example LAB-NOT-ROOT
    what    what failed, one line
    why     the evidence: the event, the log line, the AWS code; may span lines
    remedy  what to do next, one line, a command where there is one
    """

    status = ExitStatus.STAGE_FAILED

    def __init__(self, what: str, *, code: str, why: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.code = code
        self.why = why
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what} [{self.code}]" + (f": {self.why}" if self.why else "")


class UsageProblem(ChaosctlError):
    """The command line or the configuration cannot be understood."""

    status = ExitStatus.USAGE


class PreconditionFailed(ChaosctlError):
    """This machine, account or configuration cannot run what was asked."""

    status = ExitStatus.PRECONDITION


class Busy(ChaosctlError):
    """Another run holds the lock."""

    status = ExitStatus.BUSY


class StageFailed(ChaosctlError):
    """A stage did not reach its goal."""

    status = ExitStatus.STAGE_FAILED


class LeftoversFound(ChaosctlError):
    """`down` ended, but something is left."""

    status = ExitStatus.LEFTOVERS


class Unreachable(ChaosctlError):
    """An API that should answer does not."""

    status = ExitStatus.UNREACHABLE


class WebhookSilent(Unreachable):
    """The API server could not ask an admission webhook; nobody has said no. `why` names it, as the API server does."""


class CheckFailed(ChaosctlError):
    """It serves, but not correctly or not quickly enough."""

    status = ExitStatus.CHECK_FAILED


class Refused(ChaosctlError):
    """A guard rail stopped it before anything was changed."""

    status = ExitStatus.REFUSED
