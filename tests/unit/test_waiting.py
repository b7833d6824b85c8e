import time

import pytest

from chaosctl import waiting
from chaosctl.events import Event, Waiting
from chaosctl.waiting import TimedOut, heartbeat, wait_until


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
