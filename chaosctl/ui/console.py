"""The two streams: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TextIO

from chaosctl.errors import ChaosctlError
from chaosctl.ui.render import Lines, Pages, Raw, Report, envelope, error_text, report_json, report_text

CLEARED = "\x1b[H\x1b[2J"  # cursor to the upper left, screen empty


def print_report(command: str, report: Report | Raw, *, as_json: bool) -> None:
    """Write a command's result to stdout."""
    if isinstance(report, Raw):
        text = json.dumps(report.data)
    elif as_json:
        text = report_json(command, report)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        text = report_text(report, width)
    if text:
        _say(text, sys.stdout)


def print_pages(command: str, pages: Pages, *, as_json: bool) -> None:
    """Write one report after the other to stdout: JSON one to a line, on a terminal each instead of the one before."""
    for report in pages.reports:
        if as_json:
            _say(report_json(command, report, indent=None), sys.stdout)
        elif sys.stdout.isatty():
            _say(CLEARED + report_text(report, shutil.get_terminal_size().columns), sys.stdout)
        else:
            _say(report_text(report) + "\n", sys.stdout)


def print_lines(lines: Lines, *, as_json: bool) -> None:
    """Write lines to stdout as they come; JSON is one object to a line."""
    for data, text in lines.lines:
        _say(json.dumps(data) if as_json else text, sys.stdout)


def print_error(command: str, error: ChaosctlError, *, as_json: bool) -> None:
    """Write an error to stderr for people, and with `as_json` to stdout for machines as well."""
    say(error_text(error))
    if as_json:
        _say(envelope(command, error=error), sys.stdout)


def say(text: str) -> None:
    """Write to stderr."""
    _say(text, sys.stderr)


def _say(text: str, stream: TextIO) -> None:
    print(text, file=stream, flush=True)
