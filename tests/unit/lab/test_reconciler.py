"""The loop that makes desired state real: how it ends, and what it says of a fault that stays."""

from __future__ import annotations

import logging
import queue
import threading

import pytest

from chaosctl.lab.reconciler import Loop, stop_all

SECONDS = 10  # for what takes milliseconds


class Passes:
    """A reconciler that tells each of its passes, and fails as it is told to."""

    name = "passes"

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.seen: queue.Queue[int] = queue.Queue()

    def reconcile(self) -> None:
        self.seen.put(1)
        if self.failures and (failure := self.failures.pop(0)):
            raise failure


class Stuck:
    """A reconciler whose pass lasts until `go_on`."""

    name = "stuck"

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def reconcile(self) -> None:
        self.begun.set()
        self.go_on.wait()


def run(passes: Passes, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(Loop, "PERIOD", 0.0)
    loop = Loop(passes, period=0.0)
    loop.start()
    for _ in range(number + 1):  # the one after the last has begun: what the last one said is in the log
        passes.seen.get(timeout=SECONDS)
    loop.stop()


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.exc_info]


def test_a_fault_that_stays_is_told_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    run(Passes(*[OSError("no") for _ in range(3)]), monkeypatch, 3)
    assert tracebacks(caplog) == ["passes: OSError: no"]


def test_another_fault_is_told_too_and_one_that_comes_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(Passes(OSError("no"), ValueError("no"), None, ValueError("no")), monkeypatch, 4)
    assert tracebacks(caplog) == ["passes: OSError: no", *["passes: ValueError: no"] * 2]


def test_a_fault_without_words_is_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    run(Passes(AssertionError()), monkeypatch, 1)
    assert tracebacks(caplog) == ["passes: AssertionError: "]


def test_after_a_failure_a_quick_loop_takes_its_time() -> None:
    loop = Loop(Passes(OSError("no"), None), period=0.2)
    assert [loop._pass(), loop._pass()] == [Loop.PERIOD, 0.2]


def test_what_does_not_end_in_time_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    stuck, idle = Stuck(), Passes()
    loops = [Loop(stuck), Loop(idle)]
    for loop in loops:
        loop.start()
    stuck.begun.wait(SECONDS)
    assert stop_all(loops, 0.05) == ["stuck"]
    stuck.go_on.set()
    assert stop_all(loops, SECONDS) == []
