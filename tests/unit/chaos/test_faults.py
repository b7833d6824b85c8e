"""Each fault by itself and through a whole run, against a cluster in memory."""

from __future__ import annotations

import copy
import json
import re
import threading
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.adapters.kube import DEPLOYMENTS, NODES, EvictionBlocked, NotFound, Resource
from chaosctl.chaos import helper, runner
from chaosctl.chaos.campaign import Outcome
from chaosctl.chaos.cluster import DisruptionBudget, Place, ready
from chaosctl.chaos.experiment import Aim, FaultPlan, Mode, Sign
from chaosctl.chaos.faults import FAULTS, SINGLE, node_drain, pod_kill
from chaosctl.chaos.faults.fault import Fault, Look
from chaosctl.chaos.faults.workload import unfinished
from chaosctl.chaos.result import Result
from chaosctl.chaos.scenario import Step
from chaosctl.chaos.undo import UndoLog
from chaosctl.chaos.verdict import Verdict
from chaosctl.cli import chaos_view
from chaosctl.errors import ChaosctlError, PreconditionFailed, Refused, StageFailed, Unreachable, UsageProblem
from chaosctl.events import Event, Waiting
from chaosctl.report import page
from chaosctl.ui.render import report_text
from tests.unit.chaos import same_plans
from tests.unit.chaos.disruption import budgets
from tests.unit.chaos.fakes import (
    CONTROLLER,
    PLACE,
    FakeCloud,
    FakeCluster,
    anything,
    experiment,
    node,
    shuffle,
    whole_cluster,
    with_system,
    world,
)


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LOOK_EVERY", 0.01)


def judged(cluster: FakeCluster, tmp_path: Path, fault: str, **aim: Any) -> Result:
    return runner.run(experiment(cluster, Aim(seed=1, fault=fault, **aim)), world(cluster, tmp_path))


def inject(fault: Fault, plan: FaultPlan, cluster: FakeCluster) -> list[Any]:
    """All that it does, as a run has it done: what is written down comes first."""
    written = fault.undo_data(plan, cluster)
    return list(fault.inject(plan, cluster, lambda: False, written))


def settings_of(cluster: FakeCluster) -> Any:
    """All that an undo has to put back."""
    return copy.deepcopy({key: obj["spec"] for key, obj in cluster.objects.items()})


@pytest.mark.parametrize(
    ("fault", "options", "evidence"),
    [
        ("scale", {"by": 1, "seconds": 0}, "4 -> 5 replicas"),
        ("scale", {"by": -2, "seconds": 0}, "4 -> 2 replicas"),
        ("node-drain", {}, "cordoned"),
        ("node-terminate", {}, "the node is gone"),
        ("zone-loss", {}, "the node is gone"),
        ("health-check-path", {"seconds": 0}, "4 of 4 targets are unhealthy"),
        ("app-crash", {}, "restarts 0 -> 1"),
        ("container-crash", {}, "restarts 0 -> 1"),
        ("network-latency", {"milliseconds": 50, "seconds": 0}, "it shows"),
        ("network-loss", {"percent": 5, "seconds": 0}, "it shows"),
        ("network-partition", {"seconds": 0}, "it shows"),
        ("cpu-pressure", {"cpus": 1, "seconds": 0}, "it shows"),
        ("memory-pressure", {"percent": 80, "seconds": 0}, "it shows"),
        ("hpa-load", {"times": 3}, "4 -> 8 replicas, CPU at 0 %"),
    ],
)
def test_it_happens_is_proved_and_leaves_nothing_behind(
    tmp_path: Path, fault: str, options: dict[str, Any], evidence: str
) -> None:
    cluster = whole_cluster()
    before = settings_of(cluster)
    expected = replace(experiment(cluster, Aim(1, fault=fault, options=options)).plan, expected=0)
    planned = replace(experiment(cluster, Aim(1, fault=fault, options=options)), plan=expected)
    result = runner.run(planned, world(cluster, tmp_path))
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())
    assert evidence in {kill.evidence for kill in result.kills}
    after = {key: {k: v for k, v in spec.items() if k != "providerID"} for key, spec in settings_of(cluster).items()}
    assert after == {key: {k: v for k, v in spec.items() if k != "providerID"} for key, spec in before.items()}
    assert not UndoLog(tmp_path / "undo").left()


def test_a_swallowed_scale_has_no_effect(tmp_path: Path) -> None:
    cluster = whole_cluster()
    cluster.patch = lambda *a, **k: {}  # type: ignore[method-assign]
    assert judged(cluster, tmp_path, "scale", options={"seconds": 0}).verdict is Verdict.NO_EFFECT


def test_a_swallowed_termination_has_no_effect(tmp_path: Path) -> None:
    cluster = whole_cluster()
    assert cluster.cloud is not None
    cluster.cloud.terminate = lambda instance: None  # type: ignore[method-assign]
    assert judged(cluster, tmp_path, "node-terminate").verdict is Verdict.NO_EFFECT


def test_an_undo_that_fails_is_not_recovered_and_stays_in_the_log(tmp_path: Path) -> None:
    cluster = whole_cluster()
    patch, calls = cluster.patch, list[int]()

    def once(*args: Any, **more: Any) -> dict[str, Any]:
        calls.append(1)
        if len(calls) > 2:  # the bounds of the HPA and the count are the injection
            raise Unreachable("no answer", code="KUBE-UNREACHABLE")
        return patch(*args, **more)

    cluster.patch = once  # type: ignore[method-assign]
    result = judged(cluster, tmp_path, "scale", options={"by": -1, "seconds": 0})
    assert result.verdict is Verdict.NOT_RECOVERED
    assert any("could not be undone" in reason for reason in result.reasons)
    assert len(UndoLog(tmp_path / "undo").left()) == 1


def test_an_injection_that_the_api_refuses_has_no_effect(tmp_path: Path) -> None:
    cluster = whole_cluster()

    def refuse(*args: Any, **more: Any) -> dict[str, Any]:
        raise Unreachable("no answer", code="KUBE-UNREACHABLE")

    cluster.patch = refuse  # type: ignore[method-assign]
    result = judged(cluster, tmp_path, "scale", options={"seconds": 0})
    assert result.verdict is Verdict.NO_EFFECT
    assert any("no answer" in note for note in result.notes)


@pytest.mark.parametrize("kind", ["image", "readiness", "crash-loop"])
def test_a_bad_rollout_is_rolled_back(kind: str) -> None:
    cluster, fault = whole_cluster(), FAULTS["bad-rollout"]
    before = settings_of(cluster)
    plan = fault.plan(Aim(1, fault="bad-rollout", options={"kind": kind}), PLACE, cluster)
    data = fault.undo_data(plan, cluster)
    assert len(inject(fault, plan, cluster)) == 1
    assert settings_of(cluster) != before
    assert "is what it was" in fault.undo(data, cluster)
    assert settings_of(cluster) == before
    assert "nothing" in fault.undo(data, cluster)


@pytest.mark.parametrize(("kind", "value"), [("errors", "50,0"), ("slow", "0,1")])
def test_answers_are_spoilt_through_the_variable_that_the_template_offers(kind: str, value: str) -> None:
    cluster, fault = whole_cluster(), FAULTS["bad-rollout"]
    (app,) = cluster.list(DEPLOYMENTS, PLACE.namespace, PLACE.selector)
    app["spec"]["template"]["metadata"].setdefault("annotations", {})["chaosctl.dev/bad-answers-variable"] = "BAD"
    plan = fault.plan(Aim(1, fault="bad-rollout", options={"kind": kind}), PLACE, cluster)
    assert fault.undo_data(plan, cluster)["injected"][-1] == {"name": "BAD", "value": value}


def test_a_backend_that_cannot_be_told_is_refused() -> None:
    cluster, fault = whole_cluster(), FAULTS["bad-rollout"]
    with pytest.raises(Refused, match="cannot be told to answer badly"):
        fault.plan(Aim(1, fault="bad-rollout", options={"kind": "errors"}), PLACE, cluster)


def test_a_node_group_gets_its_sizes_back() -> None:
    cluster, fault = whole_cluster(), FAULTS["node-shortage"]
    assert isinstance(cluster.cloud, FakeCloud)
    plan = fault.plan(Aim(1, fault="node-shortage", consent=True), PLACE, cluster)
    data = fault.undo_data(plan, cluster)
    assert len(inject(fault, plan, cluster)) == 1
    assert cluster.cloud.sizes == (1, 1)
    assert "has 2 nodes again" in fault.undo(data, cluster)
    assert cluster.cloud.sizes == (2, 2)


def test_the_path_of_health_checks_is_put_back_unless_someone_else_has_set_it() -> None:
    cluster, fault = whole_cluster(), FAULTS["health-check-path"]
    assert isinstance(cluster.cloud, FakeCloud)
    plan = fault.plan(Aim(1, fault="health-check-path"), PLACE, cluster)
    data = fault.undo_data(plan, cluster)
    assert len(list(fault.inject(plan, cluster, lambda: False, data))) == 1
    assert cluster.cloud.path == "/no-such-path"
    cluster.cloud.path = "/someone-elses"
    assert "nothing to put back" in fault.undo(data, cluster)
    assert cluster.cloud.path == "/someone-elses"
    cluster.cloud.path = "/no-such-path"
    assert fault.undo(data, cluster) == "targets are checked at /health/ready again"
    assert cluster.cloud.path == "/health/ready"


def test_without_a_target_group_its_checks_cannot_be_spoilt() -> None:
    cluster = whole_cluster()
    del cluster.objects["targetgroupbindings", PLACE.namespace, "k8s-shop"]
    with pytest.raises(Refused) as failure:
        FAULTS["health-check-path"].plan(Aim(1, fault="health-check-path"), PLACE, cluster)
    assert failure.value.code == "CHAOS-UNFIT"


def test_the_cold_start_variable_is_put_back() -> None:
    cluster, fault = whole_cluster(), FAULTS["slow-cold-start"]
    before = settings_of(cluster)
    plan = fault.plan(Aim(1, fault="slow-cold-start"), PLACE, cluster)
    data = fault.undo_data(plan, cluster)
    assert len(inject(fault, plan, cluster)) == 4
    assert settings_of(cluster) != before
    fault.undo(data, cluster)
    assert settings_of(cluster) == before


@pytest.mark.parametrize(
    ("fault", "options"),
    [("bad-rollout", {"kind": "crash-loop"}), ("slow-cold-start", {}), ("scale", {"by": 1}), ("bigger-pods", {})],
)
def test_what_has_changed_since_it_was_written_down_is_not_touched(fault: str, options: dict[str, Any]) -> None:
    """Else the undo would put back what was there before somebody else's change."""
    cluster, of = whole_cluster(), FAULTS[fault]
    plan = of.plan(Aim(1, fault=fault, options=options), PLACE, cluster)
    written = of.undo_data(plan, cluster)
    app = cluster.objects["deployments", PLACE.namespace, "shop"]
    own = app["spec"]["template"]["spec"]["containers"][0]
    changes: dict[str, Any] = {"command": ["theirs"], "env": [{"name": "THEIRS"}], "resources": {"requests": {}}}
    own.update(changes)
    app["spec"]["replicas"] = 7
    theirs = settings_of(cluster)
    with pytest.raises(Refused) as refusal:
        list(of.inject(plan, cluster, lambda: False, written))
    assert refusal.value.code == "CHAOS-DRIFTED"
    assert settings_of(cluster) == theirs


def test_the_bounds_of_an_hpa_that_somebody_has_set_since_stay() -> None:
    cluster, fault = whole_cluster(), FAULTS["scale"]
    plan = fault.plan(Aim(1, fault="scale"), PLACE, cluster)
    written = fault.undo_data(plan, cluster)
    cluster.objects["horizontalpodautoscalers", PLACE.namespace, "shop"]["spec"]["maxReplicas"] = 99
    with pytest.raises(Refused, match="CHAOS-DRIFTED"):
        list(fault.inject(plan, cluster, lambda: False, written))


def test_what_is_injected_is_what_was_written_down() -> None:
    cluster, fault = whole_cluster(), FAULTS["bad-rollout"]
    plan = fault.plan(Aim(1, fault="bad-rollout"), PLACE, cluster)
    written = {**fault.undo_data(plan, cluster), "injected": "shop:written"}
    list(fault.inject(plan, cluster, lambda: False, written))
    (app,) = cluster.list(DEPLOYMENTS, PLACE.namespace, PLACE.selector)
    assert app["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:written"


class SlowRollouts(FakeCluster):
    """A change of the Deployment's template replaces its pods a moment later."""

    def patch(self, resource: Resource, name: str, change: Any, namespace: str = "") -> dict[str, Any]:
        found = super().patch(resource, name, change, namespace)
        found["status"]["updatedReplicas"] = 0
        timer = threading.Timer(0.1, self._roll, [found, set(self.pods_now)])
        timer.daemon = True
        timer.start()
        return found

    def _roll(self, found: dict[str, Any], old: set[str]) -> None:
        for known in [self.pods_now[name] for name in old]:
            self._end(known)
        found["status"]["updatedReplicas"] = found["spec"]["replicas"]


def test_the_rollout_back_has_ended_when_the_run_ends(tmp_path: Path) -> None:
    """What is planned next must not meet pods that are about to go."""
    whole = whole_cluster()
    cluster = SlowRollouts(whole.pods_now, objects=whole.objects)
    result = judged(cluster, tmp_path, "slow-cold-start")
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())
    first = {f"web-{number}" for number in range(101, 105)}  # of the slow version
    assert len(cluster.pods_now) == 4 and not first & set(cluster.pods_now)


@pytest.mark.parametrize(
    ("generation", "status", "missing"),
    [
        (1, {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3}, ""),
        (2, {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3}, "the rollout has not begun"),
        (2, {"observedGeneration": 2, "replicas": 4, "updatedReplicas": 1}, "1 of 3 pods are of the new version"),
        (2, {"observedGeneration": 2, "replicas": 4, "updatedReplicas": 3}, "1 pods of the old version are left"),
    ],
)
def test_a_rollout_says_what_it_misses(generation: int, status: dict[str, int], missing: str) -> None:
    found = {"metadata": {"generation": generation}, "spec": {"replicas": 3}, "status": status}
    assert unfinished(found) == missing


def test_an_undo_leaves_alone_what_someone_else_has_set_since() -> None:
    cluster, fault = whole_cluster(), FAULTS["scale"]
    plan = fault.plan(Aim(1, fault="scale"), PLACE, cluster)
    data = fault.undo_data(plan, cluster)
    inject(fault, plan, cluster)
    cluster.objects["deployments", "shop", "shop"]["spec"]["replicas"] = 9
    assert "nothing to put back" in fault.undo(data, cluster)
    assert cluster.objects["deployments", "shop", "shop"]["spec"]["replicas"] == 9


def test_a_drain_honours_disruption_budgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaosctl.chaos.faults.node_drain.WITHIN", 0.1)
    monkeypatch.setattr("chaosctl.chaos.faults.node_drain.RETRY_EVERY", 0.05)
    cluster = whole_cluster()
    cluster.pdbs = [DisruptionBudget("pdb", {}, (), 0)]
    result = judged(cluster, tmp_path, "node-drain")
    assert result.verdict is not Verdict.PASS
    assert not cluster.asked
    assert "unschedulable" not in cluster.objects["nodes", "", "node-a"]["spec"]


def test_an_interrupted_drain_stops_and_is_undone() -> None:
    cluster, fault = whole_cluster(), FAULTS["node-drain"]
    plan = fault.plan(Aim(1, fault="node-drain"), PLACE, cluster)
    written = fault.undo_data(plan, cluster)
    assert len(list(islice(fault.inject(plan, cluster, lambda: bool(settings_cordoned(cluster)), written), 9))) == 1
    assert settings_cordoned(cluster)
    fault.undo(fault.undo_data(plan, cluster), cluster)
    assert not settings_cordoned(cluster)


def settings_cordoned(cluster: FakeCluster) -> list[str]:
    return [name for (kind, _, name), o in cluster.objects.items() if kind == "nodes" and "unschedulable" in o["spec"]]


@pytest.mark.parametrize("fault", ["node-terminate", "node-drain", "zone-loss"])
def test_the_last_node_is_never_taken(fault: str) -> None:
    cluster = whole_cluster(nodes=1)
    cluster.objects["nodes", "", "node-x"] = node("node-x", "zone-9", ready=False)
    cluster.objects["nodes", "", "node-y"] = node("node-y", "zone-9", cordoned=True)
    with pytest.raises(Refused) as refusal:
        FAULTS[fault].plan(Aim(1, fault=fault, consent=True), PLACE, cluster)
    assert refusal.value.code == "CHAOS-UNFIT"


def on(cluster: FakeCluster, name: str) -> None:
    for known in list(cluster.pods_now.values()):
        cluster.pods_now[known.name] = replace(known, node=name)


def test_a_node_that_has_all_of_the_pods_is_not_terminated() -> None:
    cluster = whole_cluster(4)
    on(cluster, "node-a")
    assert FAULTS["node-terminate"].plan(Aim(1, fault="node-terminate"), PLACE, cluster).victims[0].name == "node-b"


def test_a_zone_that_has_most_of_the_pods_is_lost_with_consent_only() -> None:
    cluster = whole_cluster(5, nodes=2)
    on(cluster, "node-a")
    cluster.objects["nodes", "", "node-b"]["status"] = {"conditions": [{"type": "Ready", "status": "False"}]}
    cluster.objects["nodes", "", "node-c"] = node("node-c", "zone-0")
    cluster.objects["nodes", "", "node-d"] = node("node-d", "zone-0")
    cluster.objects["nodes", "", "node-e"] = node("node-e", "zone-1")
    lost = FAULTS["zone-loss"].plan(Aim(1, fault="zone-loss"), PLACE, cluster).victims
    assert {victim.name for victim in lost} == {"node-e"}
    for name in ("node-c", "node-d"):
        del cluster.objects["nodes", "", name]
    cluster.objects["nodes", "", "node-e"] = node("node-e", "zone-1", cordoned=True)
    cluster.objects["nodes", "", "node-f"] = node("node-f", "zone-2")
    cluster.pods_now["web-1"] = replace(cluster.pods_now["web-1"], node="node-f")
    lost = FAULTS["zone-loss"].plan(Aim(1, fault="zone-loss"), PLACE, cluster).victims
    assert {victim.name for victim in lost} == {"node-f", "web-1"}


def test_without_aws_no_instance_is_terminated() -> None:
    cluster = whole_cluster()
    cluster.cloud = None
    assert "no AWS" in FAULTS["node-terminate"].unfit(cluster, PLACE)


def test_a_backend_that_offers_no_crash_is_refused() -> None:
    cluster = whole_cluster()
    for obj in cluster.objects.values():
        obj["metadata"].pop("annotations", None)
    with pytest.raises(Refused) as refusal:
        FAULTS["app-crash"].plan(Aim(1, fault="app-crash"), PLACE, cluster)
    assert "offers no crash" in refusal.value.why


BESIDE = ("container-crash", "network-latency", "network-loss", "network-partition", "cpu-pressure", "memory-pressure")


@pytest.mark.parametrize("fault", [*BESIDE, "hpa-load"])
def test_where_no_helper_is_admitted_it_is_refused(fault: str) -> None:
    cluster = whole_cluster()
    cluster.admits_no_helper = "violates PodSecurity: privileged"
    with pytest.raises(Refused) as refusal:
        FAULTS[fault].plan(Aim(1, fault=fault), PLACE, cluster)
    assert (refusal.value.code, "PodSecurity" in refusal.value.why) == ("CHAOS-UNFIT", True)


@pytest.mark.parametrize("fault", BESIDE)
def test_what_a_node_cannot_do_is_refused_with_its_reason(tmp_path: Path, fault: str) -> None:
    cluster = whole_cluster()
    cluster.helper_says = '{"state": "cannot", "said": "the kernel of its node has no tun device"}'
    result = judged(cluster, tmp_path, fault)
    assert result.verdict is Verdict.REFUSED
    assert "no tun device" in result.reasons[0]
    assert not helpers_in(cluster)


@pytest.mark.parametrize("fault", BESIDE)
def test_a_helper_that_sees_no_effect_proves_nothing(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FAULTS[fault], "shows_within", 0.2, raising=False)
    cluster = whole_cluster()
    cluster.helper_says = '{"state": "acting", "said": ""}'
    options = {"seconds": 0} if "seconds" in FAULTS[fault].options.model_fields else {}
    assert judged(cluster, tmp_path, fault, options=options).verdict is Verdict.NO_EFFECT
    assert not helpers_in(cluster)


def test_the_last_words_of_a_helper_that_failed_are_the_reason(tmp_path: Path) -> None:
    cluster = whole_cluster()
    create = cluster.create

    def fail(resource: Any, manifest: Any, **more: Any) -> Any:
        made = create(resource, manifest, **more)
        for (kind, namespace, _), obj in cluster.objects.items():
            if (kind, namespace) == ("pods", "helpers"):
                obj["status"]["phase"] = "Failed"
        return made

    cluster.create, cluster.helper_says = fail, "exec: python3: not found"  # type: ignore[method-assign]
    assert "python3: not found" in judged(cluster, tmp_path, "cpu-pressure").reasons[0]


def test_while_a_helper_starts_it_is_said_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "HEARTBEAT", 0.0)
    cluster, said = whole_cluster(), list[Event]()
    lines = iter(["ErrImagePull: registry.example does not answer", ""])
    acts = cluster.last_line
    cluster.last_line = lambda pod: next(lines, acts(pod))  # type: ignore[method-assign]
    planned = experiment(cluster, Aim(1, fault="network-loss", options={"seconds": 0}))
    result = runner.run(planned, replace(world(cluster, tmp_path), emit=said.append))
    assert result.verdict is Verdict.PASS
    (waited, again) = (s for s in said if isinstance(s, Waiting) and s.what.startswith("the helper beside web-"))
    assert ("registry.example" in waited.detail, again.seconds >= waited.seconds) == (True, True)


@pytest.mark.parametrize("aim", [Aim(1, fault="node-drain"), Aim(1, mode=Mode.EVICT)])
def test_while_a_budget_blocks_evictions_it_is_said(aim: Aim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "HEARTBEAT", 0.0)
    for module in (node_drain, pod_kill):
        monkeypatch.setattr(module, "pause", lambda seconds, stop: None)
    cluster, said, evict, blocked = whole_cluster(), list[Event](), FakeCluster.evict, iter(range(4))

    def blocks(place: Place, name: str, uid: str) -> None:
        if next(blocked, None) is not None:
            raise EvictionBlocked("blocked", code="KUBE-EVICTION-BLOCKED")
        evict(cluster, place, name, uid)

    cluster.evict = blocks  # type: ignore[method-assign]
    result = runner.run(experiment(cluster, aim), replace(world(cluster, tmp_path), emit=said.append))
    assert result.verdict is Verdict.PASS
    waited = [s for s in said if isinstance(s, Waiting) and s.what == pod_kill.BUDGETS]
    assert waited and "web-" in waited[0].detail


def test_a_helper_that_does_not_end_stays_in_the_undo_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "END_WITHIN", 0.1)
    cluster = whole_cluster()
    cluster.remove = lambda *a, **k: True  # type: ignore[method-assign]
    result = judged(cluster, tmp_path, "network-loss", options={"seconds": 0})
    assert result.verdict is Verdict.NOT_RECOVERED
    assert len(UndoLog(tmp_path / "undo").left()) == 1


def test_each_helper_has_an_end_of_its_own_on_the_node_of_its_victim() -> None:
    cluster, fault, aim = whole_cluster(), FAULTS["network-latency"], Aim(1, fault="network-latency", count=2)
    plan = fault.plan(aim, PLACE, cluster)
    assert len(inject(fault, plan, cluster)) == 2
    jobs = [obj for (kind, _, _), obj in cluster.objects.items() if kind == "jobs"]
    assert [job["spec"]["activeDeadlineSeconds"] for job in jobs] == [140, 140]
    assert {job["spec"]["template"]["spec"]["nodeName"] for job in jobs} == {v.node for v in plan.victims}
    assert {task["container"] for task in cluster.tasks.values()} == {f"id-{v.name}" for v in plan.victims}
    assert {task["seconds"] for task in cluster.tasks.values()} == {80.0}


@pytest.mark.parametrize("field", ["hostNetwork", "podIP"])
def test_a_network_that_is_not_the_pods_own_is_left_alone(field: str) -> None:
    cluster = whole_cluster()
    pod = cluster.objects["pods", "shop", "web-1"]
    pod["spec"] |= {"hostNetwork": True} if field == "hostNetwork" else {}
    pod["status"]["podIP"] = "fd00::1" if field == "podIP" else "10.0.0.1"
    assert FAULTS["network-loss"].unfit(cluster, PLACE)


def test_without_a_limit_no_memory_is_taken() -> None:
    cluster = whole_cluster()
    cluster.objects["pods", "shop", "web-1"]["spec"]["containers"][0]["resources"] = {}
    assert "no memory limit" in FAULTS["memory-pressure"].unfit(cluster, PLACE)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"spec": {"maxReplicas": 4}}, "at its most"),
        ({"spec": {"metrics": []}}, "no HPA that goes by the CPU"),
        ({"spec": {"scaleTargetRef": {"name": "another"}}}, "no HPA that goes by the CPU"),
        ({"status": {"conditions": [{"type": "ScalingActive", "status": "False", "message": "no metrics"}]}}, "no met"),
    ],
)
def test_an_hpa_that_would_not_scale_is_not_loaded(change: dict[str, Any], why: str) -> None:
    cluster = whole_cluster()
    hpa = cluster.objects["horizontalpodautoscalers", "shop", "shop"]
    for part, fields in change.items():
        hpa[part] |= fields
    assert why in FAULTS["hpa-load"].unfit(cluster, PLACE)


@pytest.mark.parametrize(("times", "cpus"), [(2.0, 0.28), (20.0, 0.8)])
def test_the_load_for_an_hpa_stays_below_the_limit_of_the_pods(times: float, cpus: float) -> None:
    cluster, fault = whole_cluster(), FAULTS["hpa-load"]
    plan = fault.plan(Aim(1, fault="hpa-load", options={"times": times}), PLACE, cluster)
    inject(fault, plan, cluster)
    assert {task["cpus"] for task in cluster.tasks.values()} == {cpus}  # 70 % of 200 m, of at most 1


def helpers_in(cluster: FakeCluster) -> list[Any]:
    return [key for key in cluster.objects if key[1] == "helpers"]


def test_faults_at_once_are_one_run_and_undone_together(tmp_path: Path) -> None:
    cluster = whole_cluster()
    before = settings_of(cluster)
    parts = (Aim(1), Aim(1, fault="scale", options={"by": -1, "seconds": 0}))
    aim = Aim(seed=1, fault="together", parts=parts)
    result = runner.run(experiment(cluster, aim), world(cluster, tmp_path))
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())
    assert {kill.evidence for kill in result.kills} == {"gone", "4 -> 3 replicas"}
    assert settings_of(cluster) == before


def both(cluster: FakeCluster, tmp_path: Path) -> Result:
    """Two faults that are held, at once on the same pod."""
    parts = (
        Aim(1, fault="network-loss", options={"seconds": 0}),
        Aim(1, fault="memory-pressure", options={"seconds": 0}),
    )
    return runner.run(experiment(cluster, Aim(1, fault="together", parts=parts)), world(cluster, tmp_path))


def test_a_victim_of_two_faults_shows_it_of_both(tmp_path: Path) -> None:
    result = both(whole_cluster(), tmp_path)
    assert (result.verdict, [kill.evidence for kill in result.kills]) == (Verdict.PASS, ["it shows; it shows"])


def test_one_of_two_faults_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FAULTS["memory-pressure"], "look", lambda plan, cluster: Look(), raising=False)
    assert both(whole_cluster(), tmp_path).verdict is Verdict.NO_EFFECT


def test_faults_at_once_stay_within_the_blast_radius_together() -> None:
    parts = (Aim(1, count=2, ignore_pdb=True), Aim(4, fault="app-crash", count=2))
    cluster = whole_cluster(4)
    with pytest.raises(Refused) as refusal:
        for seed in range(20):
            FAULTS["together"].plan(
                Aim(seed, fault="together", parts=tuple(replace(p, seed=seed + n) for n, p in enumerate(parts))),
                PLACE,
                cluster,
            )
    assert refusal.value.code == "CHAOS-BLAST-RADIUS"


def test_a_part_that_is_stuck_leaves_no_other_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The helper of the last one does not end; the replica count of the first one is put back nevertheless."""
    monkeypatch.setattr(helper, "END_WITHIN", 0.0)
    cluster, fault = whole_cluster(), FAULTS["together"]
    parts = (Aim(1, fault="scale", options={"by": -1}), Aim(1, fault="network-loss"))
    plan = fault.plan(Aim(1, fault="together", parts=parts), PLACE, cluster)
    data = fault.undo_data(plan, cluster)
    assert len(inject(fault, plan, cluster)) == 2
    cluster.remove = lambda *a, **k: True  # type: ignore[method-assign]
    with pytest.raises(StageFailed, match="CHAOS-HELPER-STUCK"):
        fault.undo(data, cluster)
    assert cluster.objects["deployments", "shop", "shop"]["spec"]["replicas"] == 4


def test_a_part_of_another_version_leaves_no_other_in_place() -> None:
    cluster = whole_cluster()
    cluster.objects["nodes", "", "node-a"]["spec"]["unschedulable"] = True
    cordon = {"fault": "node-drain", "data": {"nodes": [{"name": "node-a", "uid": "uid-node-a"}]}}
    with pytest.raises(StageFailed, match="CHAOS-UNDO-UNKNOWN"):
        FAULTS["together"].undo({"parts": [cordon, {"fault": "earthquake", "data": {}}]}, cluster)
    assert not settings_cordoned(cluster)


def test_each_cordon_is_tried() -> None:
    cluster, patch = whole_cluster(), FakeCluster.patch
    nodes = [{"name": name, "uid": f"uid-{name}"} for name in ("node-a", "node-b")]
    for known in nodes:
        cluster.objects["nodes", "", known["name"]]["spec"]["unschedulable"] = True

    def stubborn(resource: Resource, name: str, change: Any, namespace: str = "") -> dict[str, Any]:
        if name == "node-a":
            raise Unreachable("no answer", code="KUBE-UNREACHABLE")
        return patch(cluster, resource, name, change, namespace)

    cluster.patch = stubborn  # type: ignore[method-assign]
    with pytest.raises(StageFailed, match="node-a"):
        FAULTS["node-drain"].undo({"nodes": nodes}, cluster)
    assert settings_cordoned(cluster) == ["node-a"]


def test_each_helper_is_ended() -> None:
    cluster, fault = whole_cluster(), FAULTS["network-loss"]
    plan = fault.plan(Aim(1, fault="network-loss", count=2), PLACE, cluster)
    data = fault.undo_data(plan, cluster)
    inject(fault, plan, cluster)
    remove, stuck = cluster.remove, data["helpers"][0]

    def stubborn(resource: Resource, name: str, namespace: str = "") -> bool:
        if name == stuck:
            raise Unreachable("no answer", code="KUBE-UNREACHABLE")
        return remove(resource, name, namespace)

    cluster.remove = stubborn  # type: ignore[method-assign]
    with pytest.raises(StageFailed, match=stuck):
        fault.undo(data, cluster)
    assert {stuck in name for _, _, name in helpers_in(cluster)} == {True}


def crowded() -> FakeCluster:
    """Four pods and two nodes, with three of the pods on one of them and one on the other."""
    cluster = whole_cluster(4)
    on(cluster, "node-a")
    cluster.pods_now["web-4"] = replace(cluster.pods_now["web-4"], node="node-b")
    return cluster


def drained(cluster: FakeCluster, **aim: Any) -> set[str]:
    """The nodes that some seed would drain."""
    aims = [Aim(seed, fault="node-drain", **aim) for seed in range(20)]
    return {FAULTS["node-drain"].plan(one, PLACE, cluster).victims[0].name for one in aims}


def test_a_node_with_most_of_the_pods_is_drained_with_consent_only() -> None:
    assert drained(crowded()) == {"node-b"}
    assert drained(crowded(), consent=True) == {"node-a", "node-b"}


@pytest.mark.parametrize(("budget", "nodes"), [((2, {}), {"node-a", "node-b"}), ((3, {}), {"node-b"}),
                                               ((0, {"other": "app"}), {"node-b"})])  # fmt: skip
def test_a_budget_that_sets_the_pace_of_a_drain_lets_a_node_be_emptied(
    budget: tuple[int, dict[str, str]], nodes: set[str]
) -> None:
    """Two at once are half of them; one that allows three, or is about other pods, holds nothing back."""
    cluster = crowded()
    cluster.pdbs = [DisruptionBudget("pdb", budget[1], (), budget[0])]
    assert drained(cluster) == nodes


def test_a_drain_of_the_only_node_with_pods_is_refused_where_nothing_paces_it() -> None:
    cluster = whole_cluster(4)
    on(cluster, "node-a")
    cluster.objects["nodes", "", "node-b"]["status"] = {"conditions": [{"type": "Ready", "status": "False"}]}
    cluster.objects["nodes", "", "node-c"] = node("node-c", "zone-9")
    cluster.pods_now["web-9"] = replace(cluster.pods_now["web-1"], name="web-9", uid="9", node="node-c")
    for name in ("web-1", "web-2"):
        del cluster.pods_now[name]
    cluster.pods_now["web-3"] = replace(cluster.pods_now["web-3"], node="node-c")
    assert drained(cluster) == {"node-a"}


def test_a_drain_leaves_pods_of_other_nodes_alone_whatever_the_api_lists() -> None:
    cluster, fault = whole_cluster(), FAULTS["node-drain"]
    plan, listed = fault.plan(Aim(1, fault="node-drain"), PLACE, cluster), cluster.list
    cluster.list = lambda resource, namespace="", labels="", fields="": listed(resource, namespace, labels)  # type: ignore[method-assign]
    inject(fault, plan, cluster)
    assert {uid for _, uid in cluster.asked} == {victim.uid for victim in plan.victims if victim.kind == "Pod"}


@pytest.mark.parametrize("fault", ["rolling-restart", "slow-cold-start", "bad-rollout", "bigger-pods"])
@pytest.mark.parametrize(
    "strategy",
    [{"type": "Recreate"}, {"rollingUpdate": {"maxUnavailable": "75%"}}, {"rollingUpdate": {"maxUnavailable": 3}}],
)
def test_a_rollout_that_takes_most_pods_at_once_needs_consent(fault: str, strategy: dict[str, Any]) -> None:
    cluster = whole_cluster(4)
    FAULTS[fault].plan(Aim(1, fault=fault), PLACE, cluster)
    cluster.objects["deployments", PLACE.namespace, "shop"]["spec"]["strategy"] = strategy
    with pytest.raises(Refused, match="CHAOS-BLAST-RADIUS"):
        FAULTS[fault].plan(Aim(1, fault=fault), PLACE, cluster)
    FAULTS[fault].plan(Aim(1, fault=fault, consent=True), PLACE, cluster)


def at_once(cluster: FakeCluster, *parts: Aim, **aim: Any) -> FaultPlan:
    return FAULTS["together"].plan(Aim(1, fault="together", parts=parts, **aim), PLACE, cluster)


def test_a_pod_that_one_part_ends_is_no_victim_of_another() -> None:
    """Else one that is gone would have to show that its container restarted."""
    plan = at_once(whole_cluster(), Aim(1), Aim(1, fault="container-crash"))
    assert len(plan.victims) == 2
    assert [victim.sign for victim in plan.victims] == [Sign.GONE, Sign.RESTARTED]
    FAULTS["together"].verify(
        plan, Aim(1, fault="together", parts=(Aim(1), Aim(1, fault="container-crash"))), whole_cluster()
    )


def test_a_pod_kill_and_a_crash_at_once_show_both(tmp_path: Path) -> None:
    cluster = whole_cluster()
    aim = Aim(1, fault="together", parts=(Aim(1), Aim(1, fault="container-crash")))
    result = runner.run(experiment(cluster, aim), world(cluster, tmp_path))
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())
    assert {kill.evidence for kill in result.kills} == {"gone", "restarts 0 -> 1"}


def test_of_a_victim_that_cannot_be_spared_the_strongest_sign_counts() -> None:
    plan = at_once(whole_cluster(), Aim(1, fault="rolling-restart"), Aim(1, fault="cpu-pressure"), consent=True)
    assert {victim.sign for victim in plan.victims} == {Sign.GONE}
    turned = at_once(whole_cluster(), Aim(1, fault="cpu-pressure"), Aim(1, fault="rolling-restart"), consent=True)
    assert {victim.sign for victim in turned.victims} == {Sign.GONE}


@pytest.mark.parametrize("second", ["node-drain", "node-shortage", "node-terminate"])
def test_faults_at_once_do_not_take_all_nodes(second: str) -> None:
    first = FAULTS["node-terminate"].plan(Aim(1, fault="node-terminate"), PLACE, whole_cluster()).victims[0].uid
    aims = [Aim(seed, fault=second) for seed in range(20)]
    other = next(a for a in aims if FAULTS[second].plan(a, PLACE, whole_cluster()).victims[0].uid != first)
    with pytest.raises(Refused, match="CHAOS-UNFIT"):
        at_once(whole_cluster(), Aim(1, fault="node-terminate"), other, consent=True)
    at_once(whole_cluster(4, 3), Aim(1, fault="node-terminate"), other, consent=True)


def test_fewer_replicas_count_for_the_blast_radius_of_faults_at_once() -> None:
    parts = (Aim(1, count=2), Aim(1, fault="scale", options={"by": -1}))
    with pytest.raises(Refused, match="CHAOS-BLAST-RADIUS"):
        at_once(whole_cluster(4), *parts)
    at_once(whole_cluster(6), *parts)


def test_faults_at_once_violate_no_budget_together() -> None:
    cluster = whole_cluster(6)
    cluster.pdbs = [DisruptionBudget("pdb", {}, (), 1)]
    with pytest.raises(Refused, match="CHAOS-PDB"):
        at_once(cluster, Aim(1), Aim(2))
    with pytest.raises(Refused, match="CHAOS-PDB"):  # the eviction uses it up
        at_once(cluster, Aim(1, mode=Mode.EVICT), Aim(2))
    at_once(cluster, Aim(1, ignore_pdb=True), Aim(2, ignore_pdb=True), ignore_pdb=True)
    at_once(cluster, Aim(1), Aim(2, fault="container-crash"))


def test_two_kills_of_the_same_system_pods_leave_one() -> None:
    cluster = with_system(whole_cluster(), 2)
    with pytest.raises(Refused, match="CHAOS-BLAST-RADIUS"):
        at_once(cluster, Aim(1, fault="coredns-kill"), Aim(2, fault="coredns-kill"))
    at_once(cluster, Aim(1, fault="coredns-kill"), Aim(2, fault="controller-kill"))


def test_what_faults_at_once_take_together_is_looked_at_again_before_they_are_injected() -> None:
    cluster, fault = whole_cluster(4), FAULTS["together"]
    aim = Aim(1, fault="together", parts=(Aim(1), Aim(2, fault="container-crash")))
    plan = fault.plan(aim, PLACE, cluster)
    fault.verify(plan, aim, cluster)
    spared = next(name for name, known in cluster.pods_now.items() if known.uid not in {v.uid for v in plan.victims})
    del cluster.pods_now[spared]
    with pytest.raises(Refused, match="CHAOS-BLAST-RADIUS"):
        fault.verify(plan, aim, cluster)


def test_every_fault_can_be_planned_somewhere() -> None:
    """Else the properties below would say nothing about it."""
    for name, fault in SINGLE.items():
        assert fault.plan(Aim(1, fault=name), PLACE, anything()).victims


def test_one_seed_makes_the_same_plan_a_thousand_times() -> None:
    """In processes with other hashes, from lists in other orders."""
    (found,) = {same_plans.made_elsewhere(seed=42, count=500, hashes=hashes) for hashes in (1, 2)}
    assert set(json.loads(found)) == set(SINGLE)


@settings(deadline=None)
@given(st.sampled_from(list(SINGLE)), st.integers(0, 2**32), st.randoms())
def test_the_order_of_the_lists_does_not_matter(name: str, seed: int, random: Any) -> None:
    cluster, aim = anything(), Aim(seed, fault=name)
    first = FAULTS[name].plan(aim, PLACE, cluster)
    shuffle(cluster, random)
    assert FAULTS[name].plan(aim, PLACE, cluster) == first


# These end pods, or their processes, or cut them off.
ENDS_PODS = {
    "pod-kill", "app-crash", "container-crash", "network-partition", "node-drain", "node-terminate", "zone-loss",
}  # fmt: skip
SYSTEM = {"coredns-kill": {"k8s-app": "kube-dns"}, "controller-kill": {"app.kubernetes.io/name": CONTROLLER}}

singles = st.builds(
    Aim,
    seed=st.integers(0, 2**32),
    fault=st.sampled_from(list(SINGLE)),
    mode=st.sampled_from(Mode),
    count=st.none() | st.integers(1, 6),
    consent=st.booleans(),
    ignore_pdb=st.booleans(),
)
together = st.builds(
    lambda first, second, consent, ignore: Aim(
        first.seed,
        fault="together",
        consent=consent,
        ignore_pdb=ignore,
        parts=tuple(replace(part, consent=consent, ignore_pdb=ignore) for part in (first, second)),
    ),
    singles, singles, st.booleans(), st.booleans(),
)  # fmt: skip
LABELS: tuple[dict[str, str], ...] = ({}, {"app.kubernetes.io/instance": "another"}, {"x": "y"})


def unsettle(cluster: FakeCluster, random: Any) -> None:
    """Pods become unready, end, move, lose their controller, and turn out to be somebody else's.

    The cluster lists them all the same: it looks at neither the namespace nor the labels that it is asked for.
    """
    for known in list(cluster.pods_now.values()):
        changes = [{}] * 5 + [
            {"ready": False}, {"deleting": True}, {"owner": "", "owner_uid": ""}, {"namespace": "other"},
            {"labels": random.choice(LABELS)}, {"node": random.choice(["node-a", "node-b"])},
        ]  # fmt: skip
        cluster.pods_now[known.name] = replace(known, **random.choice(changes))


def held_to(plan: FaultPlan, aim: Aim, cluster: FakeCluster) -> None:
    """All that a guard rail promises, looked at without the code that keeps it."""
    pods = {known.uid: known for known in cluster.pods_now.values()}
    ready = {uid for uid, p in pods.items() if p.ready and not p.deleting and p.namespace == PLACE.namespace
             and p.labels.get("app.kubernetes.io/instance") == "shop"}  # fmt: skip
    assert plan.victims and plan.place == PLACE and plan.ready == len(ready)
    ended, deleted = set[str](), set[str]()
    for part in plan.parts or (plan,):
        hit = {victim.uid for victim in part.victims if victim.kind == "Pod"}
        if part.fault in SYSTEM:
            assert all(pods[uid].namespace == "kube-system" and pods[uid].labels == SYSTEM[part.fault] for uid in hit)
        else:
            assert hit <= ready
        if part.fault == "node-drain":
            hit = paced(hit, pods, cluster.pdbs)
        ended |= hit if part.fault in ENDS_PODS else set()
        deleted |= hit if part.fault in SYSTEM or (part.fault == "pod-kill" and part.mode is not Mode.EVICT) else set()
    if not aim.consent:
        assert 2 * len(ended) <= len(ready) and (ended != ready or not ready)
    if not aim.ignore_pdb:
        assert all(sum(b.covers(pods[uid]) for uid in deleted) <= b.disruptions_allowed for b in cluster.pdbs
                   if "kube-system" not in {pods[uid].namespace for uid in deleted})  # fmt: skip
    nodes = {victim.name for victim in plan.victims if victim.kind == "Node"}
    assert len(nodes) < len(cluster.list(NODES)) or not nodes


def paced(hit: set[str], pods: dict[str, Any], pdbs: list[DisruptionBudget]) -> set[str]:
    """Those of a drained node that can be gone at the same time."""
    covered = {uid: [b.disruptions_allowed for b in pdbs if b.covers(pods[uid])] for uid in hit}
    free = [uid for uid, allowed in covered.items() if not allowed]
    held = [uid for uid, allowed in covered.items() if allowed]
    return set(free + held[: min((min(covered[uid]) for uid in held), default=0)])


@settings(deadline=None)
@given(singles | together, st.integers(1, 9), st.integers(1, 4), budgets, st.randoms())
def test_no_fault_escapes_the_guard_rails(aim: Aim, count: int, nodes: int, pdbs: Any, random: Any) -> None:
    """Whatever is ready and whoever else lives there: when it is planned, and when it is looked at again."""
    cluster = anything(count, nodes)
    unsettle(cluster, random)
    cluster.pdbs = pdbs
    try:
        plan = FAULTS[aim.fault].plan(aim, PLACE, cluster)
    except Refused:
        return
    held_to(plan, aim, cluster)
    FAULTS[aim.fault].verify(plan, aim, cluster)
    unsettle(cluster, random)
    cluster.pdbs = [replace(b, disruptions_allowed=random.randrange(3)) for b in pdbs]
    try:
        FAULTS[aim.fault].verify(plan, aim, cluster)
    except Refused:
        return
    held_to(replace(plan, ready=ready_in(cluster)), aim, cluster)


def ready_in(cluster: FakeCluster) -> int:
    return len(ready(cluster.pods(PLACE), PLACE))


def test_a_plan_is_refused_when_a_victim_has_changed() -> None:
    cluster, fault, aim = whole_cluster(), FAULTS["scale"], Aim(1, fault="scale")
    plan = fault.plan(aim, PLACE, cluster)
    fault.verify(plan, aim, cluster)
    cluster.objects["deployments", "shop", "shop"]["spec"]["replicas"] = 5
    with pytest.raises(Refused) as refusal:
        fault.verify(plan, aim, cluster)
    assert refusal.value.code == "CHAOS-DRIFTED"


def test_unknown_options_are_a_mistake() -> None:
    with pytest.raises(UsageProblem) as problem:
        FAULTS["scale"].plan(Aim(1, fault="scale", options={"to": 5}), PLACE, whole_cluster())
    assert problem.value.code == "CHAOS-OPTIONS"


def test_every_fault_says_what_it_does() -> None:
    assert all(fault.about and fault.needs and fault.undoes for fault in SINGLE.values())
    assert all(name == fault.name for name, fault in SINGLE.items())


def autoscaled(replicas: int = 4, nodes: int = 2, *, helps: bool = True) -> FakeCluster:
    """A cluster whose autoscaler adds a node as soon as the app's pods request more; or never."""
    cluster = whole_cluster(replicas, nodes)
    patch = cluster.patch

    def patched(resource: Any, name: str, change: Any, namespace: str = "") -> dict[str, Any]:
        found = patch(resource, name, change, namespace)
        asked = found["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
        key = ("nodes", "", "node-new")
        cluster.objects.pop(key, None)
        if helps and asked != "200m":
            cluster.objects[key] = node("node-new", "zone-0")
        return found

    cluster.patch = patched  # type: ignore[method-assign]
    return cluster


@pytest.mark.parametrize("scale_in", [False, True])
def test_bigger_pods_run_when_a_node_came(tmp_path: Path, scale_in: bool) -> None:
    cluster = autoscaled()
    before = settings_of(cluster)
    result = judged(cluster, tmp_path, "bigger-pods", options={"scale_in": scale_in})
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())
    assert [kill.evidence for kill in result.kills] == ["2 -> 3 nodes, 4 pods that request 1111m of CPU"]
    assert settings_of(cluster) == before


def test_bigger_pods_without_another_node_had_no_effect(tmp_path: Path) -> None:
    cluster = autoscaled(helps=False)
    assert judged(cluster, tmp_path, "bigger-pods").verdict is Verdict.NO_EFFECT


@pytest.mark.parametrize(
    ("replicas", "nodes", "request_"), [(3, 2, 1111), (4, 2, 1111), (5, 2, 714), (6, 2, 714), (7, 3, 714), (9, 2, 417)]
)
def test_the_nodes_hold_fewer_of_the_bigger_pods_than_there_are(replicas: int, nodes: int, request_: int) -> None:
    cluster, fault = autoscaled(replicas, nodes), FAULTS["bigger-pods"]
    plan = fault.plan(Aim(1, fault="bigger-pods"), PLACE, cluster)
    injected = fault.undo_data(plan, cluster)["injected"]
    assert injected["requests"]["cpu"] == f"{request_}m"
    assert nodes * (2000 // request_) < replicas
    assert max(1000, request_) == {"1": 1000, f"{request_}m": request_}[injected["limits"]["cpu"]]


def test_nobody_is_asked_for_nodes_where_nothing_adds_them() -> None:
    cluster = whole_cluster()
    del cluster.objects["deployments", "kube-system", "cluster-autoscaler"]
    assert "infra.node_autoscaling" in FAULTS["bigger-pods"].unfit(cluster, PLACE)
    assert "node of its own" in FAULTS["bigger-pods"].unfit(autoscaled(replicas=2), PLACE)


def test_of_a_fault_that_lasts_it_is_told_how_long_answers_took_before_during_and_after(tmp_path: Path) -> None:
    result = judged(whole_cluster(), tmp_path, "scale", options={"seconds": 0.2})
    told = [(span.stream, span.when) for span in result.spans]
    assert told == [(stream, when) for stream in ("new", "reused") for when in ("before", "during", "after")]
    assert all(span.requests == span.ok and span.latency and span.latency.p99 == 2.0 for span in result.spans)
    assert len(page.spans(result).rows) == 6
    assert "Before, during and after it" in report_text(chaos_view.concluded(result, tmp_path / "journal", "again"))
    step = Step("more pods", result.experiment.aim, {})
    told_of_all = report_text(chaos_view.all_concluded([Outcome(step, result)], [step], tmp_path, {}))
    assert re.search(r"^1 +more pods( +2\.0 ms / 2\.0 ms){3}", told_of_all, re.MULTILINE), told_of_all


def test_a_fault_that_does_not_last_has_no_during(tmp_path: Path) -> None:
    result = judged(whole_cluster(), tmp_path, "pod-kill")
    assert result.spans == () and not page.spans(result).rows
    assert "Before, during" not in report_text(chaos_view.concluded(result, tmp_path / "journal", "again"))


def test_many_helpers_are_heard_with_one_list_and_no_log_of_one_that_has_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster, fault = whole_cluster(), FAULTS["network-loss"]
    plan = fault.plan(Aim(1, fault="network-loss", count=2), PLACE, cluster)
    inject(fault, plan, cluster)
    pods = sorted(
        obj["metadata"]["name"]
        for (kind, namespace, _), obj in cluster.objects.items()
        if (kind, namespace) == ("pods", "helpers")
    )
    cluster.objects["pods", "helpers", pods[0]]["status"]["phase"] = "Pending"
    lists, logs, listed = list[int](), list[str](), cluster.list

    def list_(*args: Any, **more: Any) -> Any:
        lists.append(1)
        return listed(*args, **more)

    def last_line(pod: Any) -> str:
        logs.append(pod["metadata"]["name"])
        return '{"state": "acting", "said": "it shows"}'

    cluster.list, cluster.last_line = list_, last_line  # type: ignore[method-assign]
    words = helper.hear(cluster, [name.removesuffix("-x") for name in pods])
    assert [words[name.removesuffix("-x")].state for name in pods] == ["", helper.ACTING]
    assert (len(lists), logs) == (1, pods[1:])


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (PreconditionFailed("no", code="X", why="403 Forbidden: violates PodSecurity"), "admits no privileged pod"),
        (PreconditionFailed("no", code="X", why="403 Forbidden: cannot create"), "these credentials may not"),
        (NotFound("no", code="X"), "there is no namespace helpers"),
        (StageFailed("no", code="X", why="a webhook said no"), "a webhook said no"),
    ],
)
def test_it_is_said_exactly_why_no_helper_can_start(error: ChaosctlError, why: str) -> None:
    cluster = whole_cluster()

    def refuse(*args: Any, **more: Any) -> Any:
        raise error

    cluster.create = refuse  # type: ignore[method-assign]
    assert why in helper.refused(cluster)


def test_an_api_that_does_not_answer_has_refused_no_helper() -> None:
    cluster = whole_cluster()

    def silent(*args: Any, **more: Any) -> Any:
        raise Unreachable("no answer", code="KUBE-UNREACHABLE")

    cluster.create = silent  # type: ignore[method-assign]
    with pytest.raises(Unreachable):
        helper.refused(cluster)
