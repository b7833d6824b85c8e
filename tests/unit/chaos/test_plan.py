from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.adapters.pod import Pod
from chaosctl.chaos import plan as plans
from chaosctl.chaos.cluster import DisruptionBudget, Place, matches
from chaosctl.chaos.experiment import Aim, FaultPlan, Mode
from chaosctl.errors import Refused, UsageProblem
from tests.unit.chaos.disruption import budgets
from tests.unit.chaos.fakes import PLACE, pod

FOUR = [pod(f"web-{n}") for n in range(4)]

SHOP = {"app.kubernetes.io/instance": "shop"}
SOUND: tuple[dict[str, object], ...] = ({}, {"owner_uid": "rs-2"}, {"labels": {**SHOP, "x": "y"}})
FLAWED: tuple[dict[str, object], ...] = (
    {"ready": False},
    {"deleting": True},
    {"owner": "", "owner_uid": ""},
    {"namespace": "other"},
    {"labels": {"app.kubernetes.io/instance": "other"}},
    {"labels": {"x": "y"}},
    {"labels": {}},
)


def built(changes: list[dict[str, object]]) -> list[Pod]:
    return [replace(pod(f"web-{n}"), **change) for n, change in enumerate(changes)]  # type: ignore[arg-type]


# At most one flaw each, so that many plans can be made, and each rule alone stands between a plan and an escape.
some_pods = st.lists(st.sampled_from(SOUND) | st.sampled_from(FLAWED), max_size=20).map(built)
aims = st.builds(
    Aim,
    seed=st.integers(0, 2**32),
    mode=st.sampled_from(Mode),
    count=st.none() | st.integers(1, 12),
    percent=st.none() | st.floats(0.1, 100),
    ignore_pdb=st.booleans(),
)


def chosen(aim: Aim, pods: list[Pod], pdbs: list[DisruptionBudget]) -> FaultPlan | None:
    try:
        return plans.select(aim, PLACE, pods, pdbs)
    except Refused:
        return None


@given(aims, some_pods, budgets)
def test_no_plan_escapes_the_guard_rails(aim: Aim, pods: list[Pod], pdbs: list[DisruptionBudget]) -> None:
    plan = chosen(aim, pods, pdbs)
    if plan is None:
        return
    by_uid = {p.uid: p for p in pods}
    victims = [by_uid[v.uid] for v in plan.victims]
    ours = [p for p in pods if p.namespace == PLACE.namespace and p.labels.get("app.kubernetes.io/instance") == "shop"]
    serving = [p for p in ours if p.ready and not p.deleting]
    assert victims and len(set(plan.victims)) == len(victims)
    assert all(v in serving and v.owner_uid for v in victims)
    assert len(victims) * 2 <= len(serving) and len(victims) < len(serving)
    if aim.mode is not Mode.EVICT and not aim.ignore_pdb:
        assert all(sum(b.covers(v) for v in victims) <= b.disruptions_allowed for b in pdbs)


places = st.builds(
    Place,
    cluster=st.sampled_from([PLACE.cluster, "another"]),
    namespace=st.sampled_from([PLACE.namespace, "other"]),
    selector=st.sampled_from([PLACE.selector, "x=y"]),
    account=st.sampled_from([PLACE.account, "111122223333"]),
)


since = st.dictionaries(st.integers(0, 19), st.sampled_from(FLAWED), max_size=5)  # what became of which pod


@given(aims, some_pods, since, budgets, st.just(PLACE) | places)
def test_a_plan_is_carried_out_only_where_it_was_made_for_and_within_the_guard_rails(
    aim: Aim, then: list[Pod], since: dict[int, dict[str, object]], pdbs: list[DisruptionBudget], place: Place
) -> None:
    """Cluster, account, namespace and labels, and the pods as they are by then."""
    plan = chosen(aim, then, [])
    if plan is None:
        return
    now = [replace(p, **since.get(n, {})) for n, p in enumerate(then)]  # type: ignore[arg-type]
    try:
        plans.verify(plan, aim, place, now, pdbs)
    except Refused as refusal:
        assert (refusal.code == "CHAOS-OTHER-PLACE") == (place != PLACE)
        return
    assert place == PLACE
    pods = {p.uid: p for p in now}
    serving = {uid for uid, p in pods.items() if p.ready and not p.deleting and p.namespace == PLACE.namespace
               and p.labels.get("app.kubernetes.io/instance") == "shop"}  # fmt: skip
    victims = {v.uid for v in plan.victims}
    assert victims <= serving and 2 * len(victims) <= len(serving)
    if aim.mode is not Mode.EVICT and not aim.ignore_pdb:
        assert all(sum(b.covers(pods[uid]) for uid in victims) <= b.disruptions_allowed for b in pdbs)


@pytest.mark.parametrize(
    ("selector", "matching"),
    [
        ("", True), ("a=b", True), ("a==b,c=d", True), ("a = b", True), ("a!=b", False), ("a=b,e", False),
        ("a,!e", True), ("a in (x, b),c=d", True), ("a notin (b)", False), ("e!=f", True), ("e notin (f)", True),
        ("innings=b", False), ("a in (x)", False), ("!a", False), ("a.k8s/in=1", False), ("what?", False),
    ],
)  # fmt: skip
def test_labels_are_matched_as_the_api_matches_them(selector: str, matching: bool) -> None:
    assert matches({"a": "b", "c": "d"}, selector) is matching


@given(aims, some_pods, st.randoms())
def test_the_same_seed_chooses_the_same_victims_in_whatever_order_pods_are_listed(
    aim: Aim, pods: list[Pod], random: object
) -> None:
    shuffled = list(pods)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert chosen(aim, pods, []) == chosen(aim, shuffled, [])


def test_other_seeds_choose_others() -> None:
    names = {plans.select(Aim(seed=s), PLACE, FOUR, []).victims[0].name for s in range(40)}
    assert names == {p.name for p in FOUR}


@pytest.mark.parametrize(("percent", "count"), [(1, 1), (49, 1), (50, 2)])
def test_a_percentage_never_means_more_than_it_says(percent: float, count: int) -> None:
    assert len(plans.select(Aim(seed=1, percent=percent), PLACE, FOUR, []).victims) == count


def test_more_than_half_needs_consent() -> None:
    with pytest.raises(Refused) as refusal:
        plans.select(Aim(seed=1, count=3), PLACE, FOUR, [])
    assert refusal.value.code == "CHAOS-BLAST-RADIUS"
    assert len(plans.select(Aim(seed=1, count=4, consent=True), PLACE, FOUR, []).victims) == 4


def test_a_deletion_that_violates_a_budget_is_foreseen() -> None:
    pdb = DisruptionBudget("keep-most", {}, (), 1)
    with pytest.raises(Refused) as refusal:
        plans.select(Aim(seed=1, count=2), PLACE, FOUR, [pdb])
    assert refusal.value.code == "CHAOS-PDB"
    assert plans.select(Aim(seed=1, count=2, mode=Mode.EVICT), PLACE, FOUR, [pdb])
    assert plans.select(Aim(seed=1, count=2, ignore_pdb=True), PLACE, FOUR, [pdb])


def test_a_plan_is_refused_once_the_cluster_drifted() -> None:
    aim = Aim(seed=1)
    plan = plans.select(aim, PLACE, FOUR, [])
    plans.verify(plan, aim, PLACE, FOUR, [])
    again = [replace(p, uid="new") if p.uid == plan.victims[0].uid else p for p in FOUR]
    with pytest.raises(Refused) as refusal:
        plans.verify(plan, aim, PLACE, again, [])
    assert refusal.value.code == "CHAOS-DRIFTED"


@pytest.mark.parametrize("change", [{"cluster": "x"}, {"namespace": "x"}, {"selector": "x"}, {"account": "x"}])
def test_a_plan_for_another_place_is_refused(change: dict[str, str]) -> None:
    plan = plans.select(Aim(seed=1), PLACE, FOUR, [])
    with pytest.raises(Refused) as refusal:
        plans.verify(plan, Aim(seed=1), replace(PLACE, **change), FOUR, [])
    assert refusal.value.code == "CHAOS-OTHER-PLACE"


def test_a_plan_survives_its_file_also_inside_the_answer_to_a_dry_run() -> None:
    plan = plans.select(Aim(seed=1, count=2), PLACE, FOUR, [])
    plain = plans.to_plain(plan)
    assert plans.all_from_json(json.dumps(plain), "f") == (plan,)
    assert plans.all_from_json(json.dumps({"ok": True, "result": {"plan": plain}}), "f") == (plan,)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "fault": "pod-kill"}'])
def test_what_is_no_plan_is_said_to_be_none(text: str) -> None:
    with pytest.raises(UsageProblem) as problem:
        plans.all_from_json(text, "f")
    assert problem.value.code == "CHAOS-PLAN-UNREADABLE"


def test_a_plan_without_victims_or_with_one_twice_is_no_plan() -> None:
    plain = plans.to_plain(plans.select(Aim(seed=1), PLACE, FOUR, []))
    for victims in ([], list(plain["victims"]) * 2):
        with pytest.raises(UsageProblem):
            plans.all_from_json(json.dumps({**plain, "victims": victims}), "f")
