import threading
import time

import pytest

from chaosctl import waiting
from chaosctl.events import Event, Waiting
from chaosctl.waiting import Cancellation, Cancelled, TimedOut, heartbeat, wait_until


def test_returns_what_the_check_found() -> None:
    answers = iter([(None, "no"), (7, "yes")])
    assert wait_until(lambda: next(answers), "it", timeout=5, emit=lambda e: None, interval=0) == 7


def test_a_timeout_carries_the_last_detail() -> None:
    with pytest.raises(TimedOut, match="it did not happen within 0 s: still no"):
        wait_until(lambda: (None, "still no"), "it", timeout=0, emit=lambda e: None)


def test_waiting_is_never_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "HEARTBEAT", 0.01)
    said: list[Event] = []
    with pytest.raises(TimedOut):
        wait_until(lambda: (None, "no"), "it", timeout=0.2, emit=said.append, interval=0.01)
    assert isinstance(said[0], Waiting)
    assert said[0].what == "it"


def test_heartbeat_beats_while_the_body_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "HEARTBEAT", 0.01)
    said: list[Event] = []
    with heartbeat("a build", said.append):
        deadline = time.monotonic() + 5
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
    assert said


def test_cancelling_calls_what_ends_a_body_that_blocks() -> None:
    cancellation, ended = Cancellation(), threading.Event()
    threading.Timer(0.01, cancellation.set).start()
    with pytest.raises(Cancelled), cancellation.calling(ended.set):
        assert ended.wait(30)


def test_cancelled_before_it_began() -> None:
    cancellation, calls = Cancellation(), list[str]()
    cancellation.set()
    with pytest.raises(Cancelled), cancellation.calling(lambda: calls.append("ended")):
        assert calls == ["ended"]


def test_what_the_end_breaks_is_no_error_of_its_own() -> None:
    cancellation = Cancellation()
    with pytest.raises(Cancelled), cancellation.calling(lambda: None):
        cancellation.set()
        raise OSError("the connection was closed")


def test_nothing_is_called_after_the_body() -> None:
    cancellation, calls = Cancellation(), list[str]()
    with cancellation.calling(lambda: calls.append("ended")):
        pass
    cancellation.set()
    assert calls == []
