import threading

import pytest

from chaosctl.lab import tasks
from chaosctl.lab.tasks import Tasks


def joined(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name.startswith(name):
            thread.join()


def test_the_same_work_runs_once_at_a_time() -> None:
    work, runs, end = Tasks("once"), [], threading.Event()

    def wait() -> None:
        runs.append(1)
        end.wait()

    for _ in range(3):
        work.start("a", wait)
    end.set()
    joined("once")

    assert runs == [1]


def test_finished_work_may_run_again() -> None:
    work, runs = Tasks("again"), []
    for _ in range(2):
        work.start("a", lambda: runs.append(1))
        joined("again")

    assert runs == [1, 1]


def test_failed_work_waits_before_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    work, runs = Tasks("failing"), []

    def fail() -> None:
        runs.append(1)
        raise OSError("no")

    for _ in range(2):
        work.start("a", fail)
        joined("failing")

    assert (runs, work.failures("a")) == ([1], 1)


def test_success_forgets_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "FIRST_PAUSE", 0.0)
    outcomes = iter([OSError("no"), None])
    work = Tasks("recovering")

    def attempt() -> None:
        if error := next(outcomes):
            raise error

    for _ in range(2):
        work.start("a", attempt)
        joined("recovering")

    assert work.failures("a") == 0


def test_a_fault_that_stays_is_told_with_its_traceback_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tasks, "FIRST_PAUSE", 0.0)
    outcomes = iter([OSError("no"), OSError("no"), None, OSError("no")])
    work = Tasks("telling")

    def attempt() -> None:
        if error := next(outcomes):
            raise error

    told = []
    for _ in range(4):
        work.start("a", attempt)
        joined("telling")
        told.append(len([record for record in caplog.records if record.exc_info]))

    assert told == [1, 1, 1, 2]
