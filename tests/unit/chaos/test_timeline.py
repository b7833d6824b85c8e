from __future__ import annotations

from chaosctl.chaos import events as e
from chaosctl.chaos.timeline import ABSENT, CRASHED, ENDING, READY, STARTING, UNREADY, WAITING, Life, Timeline
from tests.unit.chaos.story import BEGIN, FAULT, Story, killed


def states(life: Life) -> list[str]:
    return [change.state for change in life.changes]


def test_a_pod_goes_through_its_states() -> None:
    story = killed().pod(2.5, 5, "ADDED").pod(2.8, 5, phase="Running", contained=True)
    line = Timeline.of(story.pod(3.5, 5, ready=True).told())
    assert states(line.pods["uid-1"]) == [READY, ENDING, ABSENT]
    assert states(line.pods["uid-5"]) == [STARTING, WAITING, READY]


def test_a_restart_is_a_crash_and_a_failing_probe_is_not() -> None:
    story = Story().pod(1.0, 2, ready=False, contained=False).pod(2.0, 2, restarts=1, trouble="web: Error")
    line = Timeline.of(story.pod(3.0, 2, ready=True, trouble="", contained=True).told())
    assert states(line.pods["uid-2"]) == [READY, UNREADY, CRASHED, READY]


def test_a_target_that_is_not_listed_is_gone_and_belongs_to_its_pod() -> None:
    line = Timeline.of(killed().told())
    assert states(line.targets["10.0.0.1:3000"]) == ["healthy", "draining", ABSENT]
    target = line.target_of(line.pods["uid-4"])
    assert target is not None and target.state_at(FAULT + 2.7) == "initial"


def test_spells_end_with_the_run_and_leave_absence_out() -> None:
    spells = Timeline.of(killed().told()).pods["uid-1"].spells(FAULT + 100)
    assert [spell.state for spell in spells] == [READY, ENDING]
    assert spells[0].begin == BEGIN and spells[-1].end == FAULT + 12.0


def test_trouble_on_the_way_is_noted() -> None:
    line = Timeline()
    line.add(e.WatchBroken(5.0, "cut"))
    line.add(e.TargetsUnknown(6.0, "throttled"))
    assert [note.text for note in line.notes] == ["the watch broke: cut", "targets cannot be asked for: throttled"]
