"""The two streams: results to stdout, everything else to stderr."""

from __future__ import annotations

import shutil
import sys

from chaosctl.errors import ChaosctlError
from chaosctl.ui.render import Report, envelope, error_text, report_json, report_text


def print_report(command: str, report: Report, *, as_json: bool) -> None:
    """Write a command's result to stdout."""
    if as_json:
        text = report_json(command, report)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        text = report_text(report, width)
    if text:
        print(text, flush=True)


def print_error(command: str, error: ChaosctlError, *, as_json: bool) -> None:
    """Write an error to stderr for people, and with `as_json` to stdout for machines as well."""
    print(error_text(error), file=sys.stderr, flush=True)
    if as_json:
        print(envelope(command, error=error), flush=True)
