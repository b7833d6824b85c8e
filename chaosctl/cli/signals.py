"""What signals do: SIGTERM and SIGHUP end a run as Ctrl-C does; a run with things to put back is told first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def end_like_ctrl_c() -> None:
    """SIGTERM and SIGHUP are handled like Ctrl-C: whatever runs gets the chance to put its things in order."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # under nohup it is ignored, and stays so
        signal.signal(signal.SIGHUP, _interrupt)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def interruptions() -> Iterator[threading.Event]:
    """Ctrl-C, SIGTERM and SIGHUP set the event, so that the run can put things in order; a second one ends at once."""
    event = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    heard = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup
        heard.remove(signal.SIGHUP)
    previous = {number: signal.signal(number, handle) for number in heard}
    try:
        yield event
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
