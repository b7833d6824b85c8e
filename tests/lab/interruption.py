"""Ending chaosctl at a chosen moment: when a line that it says matches, a signal is sent."""

from __future__ import annotations

import re
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass

import psutil

from tests.lab.user import User

EVERYTHING = "SIGKILL to chaosctl and terraform"
SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}
SECONDS_TO_END = 180.0


@dataclass(frozen=True)
class Point:
    """A moment in a run: the line of `chaosctl -v` after which `how` it is ended."""

    name: str
    line: str  # regular expression
    how: str  # a name of SIGNALS, or EVERYTHING


def end_at(user: User, point: Point, *words: str) -> str:
    """Run chaosctl, end it at `point`; what it said. Fails when it never got there, or did not end in good order."""
    process = user.start(*words, "-v")
    said = _listen(process, point.line)
    assert re.search(point.line, said), f"it never got to {point.name}:\n{said[-4000:]}"
    _end(process, user, point.how)
    out, rest = process.communicate(timeout=SECONDS_TO_END)
    said += rest
    assert "Traceback" not in said + out, said[-8000:]
    if point.how in ("SIGINT", "SIGTERM"):
        assert process.returncode == 130, said[-4000:]
        assert "again to carry on" in said
    else:
        assert process.returncode == -signal.SIGKILL
    return said


def _listen(process: subprocess.Popen[str], line: str) -> str:
    assert process.stderr is not None
    said = ""
    for heard in process.stderr:
        said += heard
        if re.search(line, heard):
            break
    return said


def _end(process: subprocess.Popen[str], user: User, how: str) -> None:
    if how == EVERYTHING:
        for terraform in terraforms(user):
            terraform.kill()
    process.send_signal(SIGNALS.get(how, signal.SIGKILL))


def terraforms(user: User) -> list[psutil.Process]:
    """Those that work for this user, and their providers, which share their environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TF_DATA_DIR", "").startswith(str(user.state)):
                found.append(process)
    return found
