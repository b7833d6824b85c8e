from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaosctl.chaos import events as e
from chaosctl.chaos import runner
from chaosctl.chaos.cluster import DisruptionBudget, Place
from chaosctl.chaos.experiment import Aim, Budgets, Mode
from chaosctl.chaos.result import Result
from chaosctl.chaos.runner import run
from chaosctl.chaos.undo import UndoLog
from chaosctl.chaos.verdict import Verdict
from chaosctl.errors import Unreachable
from chaosctl.events import Event, Waiting
from tests.unit.chaos import fakes
from tests.unit.chaos.fakes import QUICK, FakeCluster, cluster_of, experiment, traffic, whole_cluster, world


def judged(cluster: FakeCluster, tmp_path: Path, aim: Aim | None = None, **of_world: object) -> Result:
    return run(experiment(cluster, aim), world(cluster, tmp_path, **of_world))  # type: ignore[arg-type]


def test_a_pod_is_killed_and_replaced_under_good_traffic(tmp_path: Path) -> None:
    cluster = cluster_of(4)
    result = judged(cluster, tmp_path)
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())
    (kill,) = result.kills
    assert kill.gone and kill.replacement_uid == "uid-web-101"
    assert None not in (result.clocks.replacements, result.clocks.targets, result.clocks.traffic)
    assert cluster.asked == [("delete", kill.uid)]


def test_a_swallowed_kill_has_no_effect(tmp_path: Path) -> None:
    cluster = cluster_of()
    cluster.swallow = True
    assert judged(cluster, tmp_path).verdict is Verdict.NO_EFFECT


def test_a_pod_that_comes_back_as_itself_was_not_killed(tmp_path: Path) -> None:
    cluster = cluster_of()
    cluster.same_uid = True
    assert judged(cluster, tmp_path).verdict is Verdict.NO_EFFECT


@pytest.mark.parametrize("trait", ["replace", "broken_replacements"])
def test_a_pod_that_never_returns_is_not_recovered(tmp_path: Path, trait: str) -> None:
    cluster = cluster_of()
    setattr(cluster, trait, trait != "replace")
    assert judged(cluster, tmp_path).verdict is Verdict.NOT_RECOVERED


def test_a_watch_that_is_cut_gives_no_figures_to_trust(tmp_path: Path) -> None:
    cluster = cluster_of()
    cluster.watch_cut = True
    result = judged(cluster, tmp_path)
    assert result.verdict is Verdict.INVALID
    assert result.clocks.replacements is None


def test_a_watch_that_says_that_it_broke_is_noted(tmp_path: Path) -> None:
    cluster = cluster_of()
    cluster.on_kill = lambda: setattr(cluster, "broken", Unreachable("cut", code="KUBE-UNREACHABLE"))
    assert any("watch broke" in note for note in judged(cluster, tmp_path).notes)


def test_an_end_state_that_cannot_be_read_is_no_pass(tmp_path: Path) -> None:
    cluster = cluster_of()
    cluster.unreadable_after_kill = True
    assert judged(cluster, tmp_path).verdict is Verdict.INVALID


def test_bad_traffic_before_the_fault_is_not_steady_and_nothing_is_killed(tmp_path: Path) -> None:
    cluster = cluster_of()
    result = judged(cluster, tmp_path, start_traffic=traffic(outcome=lambda at: "status"))
    assert result.verdict is Verdict.NOT_STEADY
    assert "last failure was: status" in result.reasons[0]
    assert not cluster.asked


def test_answers_that_are_too_slow_before_the_fault_are_not_steady(tmp_path: Path) -> None:
    cluster = cluster_of()
    planned = replace(experiment(cluster), budgets=Budgets(latency_seconds=0.001))
    result = run(planned, world(cluster, tmp_path))
    assert result.verdict is Verdict.NOT_STEADY
    assert "answers take 0.002 s (99th percentile), the latency budget is 0.001 s" in result.reasons[0]
    assert not cluster.asked


def test_a_pod_that_is_not_ready_before_the_fault_is_not_steady(tmp_path: Path) -> None:
    cluster = cluster_of()
    sick = fakes.pod("web-9", ready=False)
    cluster.pods_now[sick.name] = sick
    result = judged(cluster, tmp_path)
    assert result.verdict is Verdict.NOT_STEADY
    assert "web-9" in result.reasons[0]


def after_the_kill(cluster: FakeCluster, outcome: str, seconds: float = 99.0) -> type[fakes.FakeTraffic]:
    """Traffic that fails for some seconds from the first request after the kill."""
    first: list[float] = []

    def judge(at: float) -> str:
        if cluster.asked and not first:
            first.append(at)
        return outcome if first and at < first[0] + seconds else "ok"

    return traffic(outcome=judge)


def test_users_who_notice_too_much_breach_the_budget(tmp_path: Path) -> None:
    cluster = cluster_of()
    result = judged(cluster, tmp_path, start_traffic=after_the_kill(cluster, "reset", 0.15))
    assert result.verdict is Verdict.SLO_BREACHED
    assert result.streams[0].longest == pytest.approx(0.15, abs=0.011)


@pytest.mark.parametrize("when", [0.05, 0.3])
def test_a_prober_that_dies_makes_it_invalid(tmp_path: Path, when: float) -> None:
    assert judged(cluster_of(), tmp_path, start_traffic=traffic(dies_after=when)).verdict is Verdict.INVALID


def test_an_account_that_does_not_add_up_makes_it_invalid(tmp_path: Path) -> None:
    assert judged(cluster_of(), tmp_path, start_traffic=traffic(lie=1)).verdict is Verdict.INVALID


def test_a_rate_that_the_prober_does_not_hold_is_refused_before_anything_is_broken(tmp_path: Path) -> None:
    cluster = cluster_of()
    result = judged(cluster, tmp_path, start_traffic=traffic(lag=30_000))
    assert result.verdict is Verdict.REFUSED
    assert "30.0 ms late" in result.reasons[0] and "CHAOS-RATE-TOO-HIGH" in result.reasons[0]
    assert not cluster.asked


def test_a_prober_that_is_held_up_after_the_fault_makes_it_invalid(tmp_path: Path) -> None:
    cluster = cluster_of()
    starved = type("Starved", (fakes.FakeTraffic,), {"lag": property(lambda _: 30_000 if cluster.asked else 1000)})
    assert judged(cluster, tmp_path, start_traffic=starved).verdict is Verdict.INVALID


def test_requests_that_this_machine_cannot_send_make_it_invalid(tmp_path: Path) -> None:
    cluster = cluster_of()
    assert judged(cluster, tmp_path, start_traffic=after_the_kill(cluster, "unsent")).verdict is Verdict.INVALID


def test_a_victim_that_vanished_during_the_gate_is_drift(tmp_path: Path) -> None:
    cluster = cluster_of()
    planned = experiment(cluster)
    victim = cluster.pods_now.pop(planned.plan.victims[0].name)
    cluster.pods_now["web-77"] = fakes.pod("web-77", owner=victim.owner_uid)
    result = run(planned, world(cluster, tmp_path))
    assert result.verdict is Verdict.REFUSED
    assert "CHAOS-DRIFTED" in result.reasons[0]
    assert not cluster.asked


@pytest.mark.parametrize("phase", ["gate", "inject", "observe", "verify"])
def test_an_interruption_in_any_phase_aborts_and_leaves_nothing_broken(tmp_path: Path, phase: str) -> None:
    cluster, interrupt, seen = cluster_of(6), threading.Event(), list[Event]()

    def emit(event: Event) -> None:
        seen.append(event)
        if isinstance(event, e.PhaseStarted) and event.phase == phase:
            interrupt.set()

    made = world(cluster, tmp_path, interrupt=interrupt)
    object.__setattr__(made, "emit", emit)
    result = run(experiment(cluster, Aim(seed=1, count=2)), made)
    assert result.verdict is Verdict.ABORTED
    assert phase in result.reasons[0]
    assert len(cluster.pods_now) == 6 and all(pod.ready for pod in cluster.pods_now.values())
    assert not UndoLog(tmp_path / "undo").left()
    assert len(cluster.asked) == (2 if phase in ("observe", "verify") else 0)


def test_an_interruption_between_two_kills_stops_the_second(tmp_path: Path) -> None:
    cluster, interrupt = cluster_of(6), threading.Event()
    cluster.on_kill = interrupt.set
    result = judged(cluster, tmp_path, Aim(seed=1, count=3), interrupt=interrupt)
    assert result.verdict is Verdict.ABORTED
    assert "recovery was verified" in result.reasons[0]
    assert len(cluster.asked) == 1


def test_the_undo_entry_is_on_disk_before_the_first_kill(tmp_path: Path) -> None:
    cluster, found = cluster_of(), list[int]()
    cluster.on_kill = lambda: found.append(len(UndoLog(tmp_path / "undo").left()))
    judged(cluster, tmp_path)
    assert found == [1]
    assert not UndoLog(tmp_path / "undo").left()


def test_leftovers_of_an_earlier_run_are_put_back_first(tmp_path: Path) -> None:
    log = UndoLog(tmp_path / "undo")
    log.write("pod-kill", fakes.PLACE.cluster, {"victims": ["web-0"]})
    seen: list[Event] = []
    judged(cluster_of(), tmp_path, seen=seen)
    assert "left by an earlier run" in getattr(seen[0], "text", "")
    assert not log.left()


def test_an_eviction_that_a_budget_blocks_stops_when_the_downtime_budget_is_spent(tmp_path: Path) -> None:
    cluster = cluster_of(6)
    planned = experiment(cluster, Aim(seed=1, count=2, mode=Mode.EVICT))
    cluster.on_kill = lambda: cluster.pdbs.append(DisruptionBudget("pdb", {}, (), 0)) if cluster.asked else None
    made = world(cluster, tmp_path, start_traffic=after_the_kill(cluster, "refused"))
    result = run(planned, made)
    assert result.verdict is Verdict.NOT_RECOVERED
    assert any("injection was stopped early" in note for note in result.notes)
    assert [kind for kind, _ in cluster.asked] == ["evict"]


def falls_ill(cluster: FakeCluster) -> None:
    """A pod that nobody touches is no longer ready, and the watch says so."""
    name = max(cluster.pods_now)
    cluster.pods_now[name] = replace(cluster.pods_now[name], ready=False)
    cluster._tell("MODIFIED", cluster.pods_now[name])


def test_a_steady_state_that_is_lost_after_the_gate_is_not_laid_at_the_faults_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, write = cluster_of(), UndoLog.write

    def slowly(*arguments: Any) -> Path:
        falls_ill(cluster)
        return write(*arguments)

    monkeypatch.setattr(UndoLog, "write", slowly)
    result = judged(cluster, tmp_path)
    assert result.verdict is Verdict.NOT_STEADY
    assert "no longer when the fault was to begin: 1 of 4 pods are not ready" in result.reasons[0]
    assert not cluster.asked and not UndoLog(tmp_path / "undo").left()


def test_a_steady_state_that_is_lost_while_the_fault_cannot_begin_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "HEARD_WITHIN", 0.05)
    cluster = cluster_of(6)

    def blocked() -> None:
        if not cluster.pdbs:
            cluster.pdbs.append(DisruptionBudget("pdb", {}, (), 0))
            falls_ill(cluster)

    cluster.on_kill = blocked
    result = judged(cluster, tmp_path, Aim(seed=1, count=2, mode=Mode.EVICT))
    assert result.verdict is Verdict.NOT_STEADY
    assert not cluster.asked


def lost_answer(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, *, done: bool) -> None:
    """The API server carries the first deletion out, or not, and its answer never comes."""
    delete = cluster.delete

    def lose(place: Place, name: str, uid: str, grace: int | None) -> bool:
        if done:
            delete(place, name, uid, grace)
        raise Unreachable("the connection was cut", code="KUBE-UNREACHABLE")

    monkeypatch.setattr(cluster, "delete", lose)


def test_a_kill_whose_answer_was_lost_is_seen_through_and_has_no_clocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, seen = cluster_of(), list[Event]()
    lost_answer(cluster, monkeypatch, done=True)
    result = judged(cluster, tmp_path, seen=seen)
    assert result.verdict is Verdict.INVALID
    assert any("answer was lost" in reason for reason in result.reasons)
    (attempt,) = [event for event in seen if isinstance(event, e.Attempted)]
    assert attempt.what == f"delete {result.kills[0].name}"


def test_a_kill_that_was_not_carried_out_has_no_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = cluster_of()
    lost_answer(cluster, monkeypatch, done=False)
    assert judged(cluster, tmp_path).verdict is Verdict.NO_EFFECT


@pytest.mark.parametrize(("replaced", "words"), [(True, "the recovery was verified"), (False, "NOT recovered")])
def test_an_interruption_does_not_forget_what_was_attempted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool, words: str
) -> None:
    cluster, interrupt = cluster_of(), threading.Event()
    cluster.replace, cluster.on_kill = replaced, interrupt.set
    lost_answer(cluster, monkeypatch, done=True)
    result = judged(cluster, tmp_path, interrupt=interrupt)
    assert result.verdict is Verdict.ABORTED
    assert "what had been asked for may have happened (delete web-" in result.reasons[0] and words in result.reasons[0]


def test_a_deletion_that_was_declined_was_none(tmp_path: Path) -> None:
    cluster, interrupt = cluster_of(), threading.Event()

    def vanish() -> None:
        cluster.pods_now.clear()
        interrupt.set()

    cluster.on_kill = vanish
    assert "nothing had been killed" in judged(cluster, tmp_path, interrupt=interrupt).reasons[0]


@pytest.mark.parametrize("interrupted", [False, True])
def test_an_undo_that_failed_is_not_recovered_although_nothing_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    """The answer to the cordon was lost, and nothing can be asked of the API any more when it is to be undone."""
    cluster, interrupt = whole_cluster(), threading.Event()

    def lose(*_: object) -> dict[str, object]:
        monkeypatch.setattr(cluster, "get", lose)
        if interrupted:
            interrupt.set()
        raise Unreachable("the connection was cut", code="KUBE-UNREACHABLE")

    monkeypatch.setattr(cluster, "patch", lose)
    result = judged(cluster, tmp_path, Aim(seed=1, fault="node-drain"), interrupt=interrupt)
    assert result.verdict is (Verdict.ABORTED if interrupted else Verdict.NOT_RECOVERED)
    assert any("the fault could not be undone" in reason for reason in result.reasons)
    assert UndoLog(tmp_path / "undo").left()


def test_what_lasts_is_put_back_as_soon_as_a_budget_is_breached_also_while_it_is_only_observed(tmp_path: Path) -> None:
    """Users fail for as long as the node is cordoned: they are well again only because it does not stay so."""
    cluster = whole_cluster(6, nodes=3)

    def cordoned() -> bool:
        return any(o["spec"].get("unschedulable") for o in cluster.objects.values())

    planned = replace(
        experiment(cluster, Aim(seed=1, fault="node-drain")),
        budgets=Budgets(0.0, 0.2, recovery_seconds=30.0),
        timing=replace(QUICK, give_up=30.0),
    )
    made = world(cluster, tmp_path, start_traffic=traffic(outcome=lambda at: "status" if cordoned() else "ok"))
    result = run(planned, made)
    assert result.verdict is Verdict.SLO_BREACHED, result.reasons
    assert not UndoLog(tmp_path / "undo").left()


def test_a_breached_budget_does_not_end_the_observation_of_what_cannot_be_put_back(tmp_path: Path) -> None:
    cluster = cluster_of()
    planned = replace(experiment(cluster), timing=replace(QUICK, give_up=30.0))
    result = run(planned, world(cluster, tmp_path, start_traffic=after_the_kill(cluster, "reset", 0.7)))
    assert result.verdict is Verdict.SLO_BREACHED
    assert result.streams[0].longest == pytest.approx(0.7, abs=0.011)
    assert not any("stopped early" in note for note in result.notes)


def test_victims_are_chosen_once_no_rollout_is_under_way(tmp_path: Path) -> None:
    """Seen after the undo of one: its victim's ReplicaSet went to nothing, so nobody ever replaced the victim."""
    cluster, told = whole_cluster(), list[Event]()
    status = next(o["status"] for o in cluster.objects.values() if "updatedReplicas" in o.get("status", {}))
    status["updatedReplicas"] -= 1

    def tell(event: Event) -> None:
        told.append(event)
        status["updatedReplicas"] = status["replicas"]

    runner.let_rollouts_end(replace(world(cluster, tmp_path), emit=tell), fakes.PLACE, within=60.0)
    assert [e.detail for e in told if isinstance(e, Waiting)] == ["shop: 3 of 4 pods are of the new version"]


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_rollout_that_does_not_end_is_left_to_the_gate(tmp_path: Path, interrupted: bool) -> None:
    cluster, interrupt = whole_cluster(), threading.Event()
    next(o for o in cluster.objects.values() if "updatedReplicas" in o.get("status", {}))["status"]["replicas"] += 1
    if interrupted:
        interrupt.set()
    within = 60.0 if interrupted else 0.0
    runner.let_rollouts_end(world(cluster, tmp_path, interrupt=interrupt), fakes.PLACE, within)
    assert not UndoLog(tmp_path / "undo").left()
