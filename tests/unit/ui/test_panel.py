from __future__ import annotations

import io

from chaosctl.chaos import events as e
from chaosctl.ui.live import Lines
from chaosctl.ui.panel import SAY_EVERY, Panel
from tests.unit.chaos.story import FAULT, killed


def panel(until: float) -> Panel:
    """What is known `until` seconds after the fault, two seconds of 503s included."""
    events = killed().told({(1.0, 3.0): ("both", "status", 503)})
    made = Panel(killed().experiment, clock=lambda: FAULT + until)
    for event in events:
        if isinstance(event, e.RequestsSeen):
            seen = tuple(r for r in event.requests if r.intended / 1e6 < FAULT + until)
            made.add(e.RequestsSeen(FAULT + until, seen))
        elif event.at <= FAULT + until:
            made.add(event)
    return made


def text(lines: list[list[tuple[str, str]]]) -> str:
    return "\n".join("".join(words for words, _ in line) for line in lines)


def test_it_shows_requests_latency_pods_targets_and_clocks() -> None:
    shown = text(panel(5.5).lines())
    for wanted in ("50 ok", "100 status", "p50 5.0 ms", "1 ending", "3 ready", "1 draining", "fault +5.5 s"):
        assert wanted in shown
    assert "replacements ✓ 3.00 s" in shown
    assert "clean 2 of 10 s" in shown


def test_seconds_with_failures_stand_out() -> None:
    line = panel(5.5).lines()[0]
    assert sum(style == "bold red" and len(bar) == 1 for bar, style in line) == 2


def test_it_is_gone_when_the_traffic_has_ended() -> None:
    made = panel(39.0)
    made.add(e.TrafficLost(FAULT + 39.0, "killed"))
    assert made.lines() == []


def test_plain_lines_say_it_now_and_then() -> None:
    now = [FAULT]
    made, out = Panel(killed().experiment, clock=lambda: now[0]), io.StringIO()
    lines = Lines(out, clock=lambda: now[0])
    lines._chaos.panel = made
    for event in killed().told():
        if isinstance(event, e.RequestsSeen):
            now[0] += SAY_EVERY
        if event.at < FAULT + 30 or isinstance(event, e.RequestsSeen):
            lines.emit(event) if not isinstance(event, e.ExperimentStarted) else None
    assert "traffic: 1000 ok a second, none failed" in out.getvalue()
    assert "targets: 3 healthy" in out.getvalue()
