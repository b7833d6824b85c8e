from __future__ import annotations

import time
from io import StringIO

import pytest

from chaosctl.events import (
    Event,
    ResourceProgress,
    StageFinished,
    StageStarted,
    StandInUsed,
    Step,
    Transfer,
    Waiting,
    Warned,
)
from chaosctl.ui.live import Lines, duration, line_of, open_live, size, transfer_line
from chaosctl.ui.terminal import Terminal

EVERY_EVENT: list[Event] = [
    StageStarted("infra", "make things"),
    ResourceProgress("aws_vpc.main", "create", "started", 0),
    ResourceProgress("aws_vpc.main", "create", "running", 10),
    ResourceProgress("aws_vpc.main", "create", "done", 12),
    ResourceProgress("aws_eip.nat", "create", "failed", 1),
    Transfer("helm", 1_000_000, 20_000_000, 19),
    Transfer("helm", 20_000_000, 20_000_000, 0),
    Waiting("the cluster", 8, "CREATING"),
    Warned("odd", "look"),
    StandInUsed("a lab", "AWS"),
    Step("did it"),
    StageFinished("infra", 12.3, True, "made"),
]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def said(*events: Event, verbose: int = 0) -> list[str]:
    out = StringIO()
    with Lines(out, verbose=verbose, clock=Clock()) as live:
        for event in events:
            live.emit(event)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("event", EVERY_EVENT)
def test_every_event_has_a_line(event: Event) -> None:
    assert line_of(event)


def test_an_unknown_event_is_silent() -> None:
    assert line_of(Event()) == ""
    assert said(Event()) == []


def test_lines_carry_the_time() -> None:
    assert said(Step("did it")) == ["    0.0s  did it"]


def test_a_stage_that_changed_nothing_says_so() -> None:
    assert "nothing to do" in line_of(StageFinished("app", 1, False, "as it was"))


def test_a_transfer_is_not_repeated_every_moment_but_its_end_is_told() -> None:
    events = [Transfer("helm", done, 100, 1.0) for done in (1, 2, 3, 100)]
    assert len(said(*events)) == 2
    assert len(said(*events, verbose=1)) == 4


def test_running_resources_are_mentioned_together() -> None:
    events = [ResourceProgress(f"r{i}", "create", "running", 10) for i in range(5)]
    assert len(said(*events)) == 1


def test_sizes_and_durations() -> None:
    assert [size(n) for n in (5, 1500, 4_200_000, 3e9)] == ["5 B", "1.5 kB", "4.2 MB", "3.0 GB"]
    assert [duration(s) for s in (8, 125)] == ["8 s", "2 min 5 s"]


def test_a_pipe_gets_lines() -> None:
    assert isinstance(open_live(StringIO()), Lines)


class Tty(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_the_moving_display_and_keeps_what_is_done() -> None:
    out = Tty()
    live = open_live(out, environment={"TERM": "xterm"})
    assert isinstance(live, Terminal)
    with live:
        for event in EVERY_EVENT:
            live.emit(event)
    shown = out.getvalue()
    for text in ("infra: made", "did it", "warning: odd", "aws_eip.nat: create failed"):
        assert text in shown


def test_what_is_no_bytes_is_counted_as_what_it_is() -> None:
    line = transfer_line(Transfer("building with Go", 271, 3300, 90, unit="packages"))
    assert line == "building with Go: 271 of 3300 packages, 1 min 30 s left"


def test_waiting_is_told_only_when_nothing_else_was() -> None:
    clock, out = Clock(), StringIO()
    live = Lines(out, clock=clock)
    live.emit(Step("did it"))
    live.emit(Waiting("the cluster", 1))
    clock.now = 4.0
    live.emit(Waiting("the cluster", 4))
    assert len(out.getvalue().splitlines()) == 2


def test_what_says_nothing_goes_on_visibly() -> None:
    clock, out = Clock(), StringIO()
    with Lines(out, clock=clock) as live:
        live.emit(StageStarted("infra", "make things"))
        clock.now = 5.0
        deadline = time.monotonic() + 5
        while "goes on" not in out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
    assert "infra goes on, 5 s" in out.getvalue()


@pytest.mark.parametrize("term", ["", "dumb", "unknown"])
def test_a_terminal_without_a_moving_cursor_gets_lines(term: str) -> None:
    assert isinstance(open_live(Tty(), environment={"TERM": term}), Lines)


class Gone(StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_who_went_away_does_not_stop_the_work() -> None:
    with Lines(Gone()) as live:
        live.emit(Step("did it"))
