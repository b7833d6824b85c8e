from __future__ import annotations

from dataclasses import replace

import pytest

from chaosctl.chaos.cluster import PodState, TargetState
from chaosctl.chaos.experiment import FaultPlan, Mode, Sign, Victim
from chaosctl.chaos.recovery import Recovery
from chaosctl.chaos.requests import NEW, Request
from tests.unit.chaos.fakes import PLACE, pod

OLD, VICTIM = PodState.of(pod("web-1")), PodState.of(pod("web-2"))
NEXT = PodState.of(pod("web-3"))


def healthy(*pods: PodState) -> tuple[TargetState, ...]:
    return tuple(TargetState(p.ip, 3000, "healthy") for p in pods)


@pytest.fixture
def killed() -> Recovery:
    """Two pods, one of which was killed at 10.0; it has not ended."""
    recovery = Recovery(FaultPlan("pod-kill", Mode.GRACEFUL, 1, PLACE, (Victim.of(pod("web-2")),), 2))
    recovery.pod(1, "ADDED", OLD)
    recovery.pod(1, "ADDED", VICTIM)
    recovery.seen_targets(1, healthy(OLD, VICTIM))
    recovery.begin()
    recovery.kill(10, VICTIM.uid)
    return recovery


def seconds(recovery: Recovery) -> tuple[float | None, float | None]:
    clocks = recovery.clocks({NEW: []}, 1, 100)
    return clocks.replacements, clocks.targets


def test_nothing_has_recovered_while_targets_still_show_the_state_before(killed: Recovery) -> None:
    killed.seen_targets(10.1, healthy(OLD, VICTIM))
    assert seconds(killed) == (None, None)


def test_each_clock_stops_when_its_own_thing_is_back(killed: Recovery) -> None:
    killed.pod(10.2, "DELETED", VICTIM)
    killed.pod(11, "ADDED", replace(NEXT, ready=False))
    killed.seen_targets(12, healthy(OLD, NEXT))
    killed.pod(13, "MODIFIED", NEXT)
    assert seconds(killed) == (3, 2)
    assert killed.replacements()[VICTIM.uid] == NEXT


def test_a_replacement_that_is_lost_again_starts_the_clock_again(killed: Recovery) -> None:
    killed.pod(11, "ADDED", NEXT)
    killed.pod(12, "MODIFIED", replace(NEXT, ready=False))
    assert seconds(killed)[0] is None
    killed.pod(14, "MODIFIED", NEXT)
    assert seconds(killed)[0] == 4


@pytest.mark.parametrize("stranger", [replace(NEXT, owner_uid="other"), OLD, replace(NEXT, deleting=True)])
def test_a_pod_of_another_owner_an_old_one_and_an_ending_one_replace_nobody(
    killed: Recovery, stranger: PodState
) -> None:
    killed.pod(11, "ADDED", stranger)
    assert seconds(killed)[0] is None


def test_a_draining_target_does_not_hold_recovery_up_but_an_unhealthy_one_does(killed: Recovery) -> None:
    killed.pod(11, "DELETED", VICTIM)
    killed.pod(11, "ADDED", NEXT)
    draining = TargetState(VICTIM.ip, 3000, "draining")
    killed.seen_targets(12, (*healthy(OLD), replace(draining, id=NEXT.ip, state="initial"), draining))
    assert seconds(killed)[1] is None
    killed.seen_targets(13, (*healthy(OLD, NEXT), draining))
    assert seconds(killed)[1] == 3


def test_an_address_that_the_replacement_took_over_counts_as_its_own(killed: Recovery) -> None:
    heir = replace(NEXT, ip=VICTIM.ip)
    killed.pod(11, "DELETED", VICTIM)
    killed.pod(12, "ADDED", heir)
    killed.seen_targets(12, healthy(OLD, heir))
    assert seconds(killed)[1] == 2


def test_traffic_that_was_clean_before_the_acknowledgement_gives_a_negative_figure(killed: Recovery) -> None:
    requests = [Request(NEW, n, round((9.5 + n / 10) * 1e6), 0, 0, "ok" if n else "reset", 0) for n in range(30)]
    assert killed.clocks({NEW: requests}, 1, 12.5).traffic == pytest.approx(-0.4)


def test_traffic_that_was_not_clean_for_long_enough_has_no_figure(killed: Recovery) -> None:
    requests = [Request(NEW, n, round((10 + n / 10) * 1e6), 0, 0, "reset" if n == 15 else "ok", 0) for n in range(20)]
    assert killed.clocks({NEW: requests}, 1, 12.0).traffic is None


def crashing(fault: str = "container-crash", *served: PodState) -> Recovery:
    """A pod that has restarted by itself, once since it was chosen as a victim, and is to be crashed."""
    victim = replace(Victim.of(pod("web-2")), sign=Sign.RESTARTED, before="3")
    recovery = Recovery(FaultPlan(fault, Mode.GRACEFUL, 1, PLACE, (victim,), 2))
    recovery.pod(1, "ADDED", replace(VICTIM, restarts=4, exits=(1,)))
    recovery.seen_targets(1, healthy(*served))
    recovery.begin()
    recovery.kill(10, VICTIM.uid)
    return recovery


@pytest.mark.parametrize(
    ("fault", "restarts", "exits", "ours"),
    [
        ("container-crash", 4, (1,), False),  # it restarted before the fault
        ("container-crash", 5, (1,), False),  # it crashed by itself after it
        ("container-crash", 5, (0, 137), True),
        ("container-crash", 5, (), True),  # nobody says how it ended
        ("app-crash", 5, (143,), True),
        ("app-crash", 4, (137,), False),
    ],
)
def test_a_restart_counts_only_if_it_can_be_the_faults(
    fault: str, restarts: int, exits: tuple[int, ...], ours: bool
) -> None:
    recovery = crashing(fault)
    (victim,) = recovery.pending()
    recovery.pod(12, "MODIFIED", replace(VICTIM, restarts=restarts, exits=exits))
    assert recovery.happened(victim) == ours
    assert recovery.pods_ready == ours


def test_a_kill_that_was_seen_is_not_forgotten_when_the_app_crashes_again() -> None:
    recovery = crashing()
    recovery.pod(12, "MODIFIED", replace(VICTIM, restarts=5, exits=(137,)))
    recovery.pod(13, "MODIFIED", replace(VICTIM, restarts=6, exits=(1,)))
    assert not recovery.pending()


def test_what_is_to_end_and_does_not_has_not_recovered(killed: Recovery) -> None:
    killed.pod(11, "ADDED", NEXT)
    ending = replace(VICTIM, ready=False, deleting=True)
    assert killed.not_recovered([OLD, NEXT, ending]) == ["web-2 is to end, but exists still"]
    assert killed.not_recovered([OLD, NEXT]) == []


def test_what_was_put_back_early_need_not_show_any_more(killed: Recovery) -> None:
    killed.cut_short = True
    assert killed.pending() and not killed.pods_ready
    killed.lift(12)
    assert not killed.pending() and killed.pods_ready


def test_a_pod_that_restarted_has_to_be_a_target_again() -> None:
    """It is ready before the controller registers it again: until then only the others are targets, and healthy."""
    recovery = crashing("container-crash", OLD, VICTIM)
    back = replace(VICTIM, restarts=5)
    recovery.seen_targets(10.5, (*healthy(OLD), TargetState(VICTIM.ip, 3000, "draining")))
    recovery.pod(11, "MODIFIED", replace(back, ready=False))
    recovery.seen_targets(12, healthy(OLD))
    recovery.pod(13, "MODIFIED", back)
    assert seconds(recovery) == (3, None)
    recovery.seen_targets(14, (*healthy(OLD), TargetState(VICTIM.ip, 3000, "initial")))
    assert seconds(recovery)[1] is None
    recovery.seen_targets(15, healthy(OLD, VICTIM))
    assert seconds(recovery) == (3, 5)
