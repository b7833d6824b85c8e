from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from chaosctl.chaos import campaign, runner
from chaosctl.chaos import scenario as scenarios
from chaosctl.chaos.experiment import Aim, Budgets, FaultPlan, Mode
from chaosctl.chaos.faults import FAULTS
from chaosctl.chaos.result import Result
from chaosctl.chaos.scenario import Step
from chaosctl.chaos.verdict import Verdict
from chaosctl.errors import Refused, Unreachable, UsageProblem
from tests.unit.chaos.fakes import PLACE, FakeCluster, experiment, whole_cluster, world


def parsed(text: str) -> scenarios.Scenario:
    return scenarios.parse(text, "f")


def test_a_scenario_becomes_steps_whose_seeds_count_on() -> None:
    found = parsed(
        "name: x\nblast_radius: {consent: true}\nbudgets: {downtime_seconds: 2}\nsteps:\n"
        "- {fault: pod-kill, mode: forced, count: 2, observe: 9}\n"
        "- {together: [{fault: scale, with: {by: -1}}, {fault: app-crash}], budgets: {recovery_seconds: 7}}\n"
    )
    first, second = scenarios.steps(found, 40, ignore_pdb=True)
    assert first.aim == Aim(40, Mode.FORCED, 2, consent=True, ignore_pdb=True)
    assert (first.observe, second.observe) == (9, None)
    assert [(part.fault, part.seed) for part in second.aim.parts] == [("scale", 41), ("app-crash", 42)]
    assert second.aim.parts[0].options == {"by": -1}
    budgets = scenarios.budgets_of(Budgets(), second.budgets)
    assert (budgets.downtime_seconds, budgets.recovery_seconds, budgets.success_percent) == (2, 7, 99)


def test_each_clock_can_have_a_budget_of_its_own_and_a_step_overrides_it() -> None:
    found = parsed(
        "name: x\nbudgets: {recovery_seconds: {replacements: 5, targets: 6, traffic: 7}}\n"
        "steps: [{fault: pod-kill}, {fault: pod-kill, budgets: {recovery_seconds: 9}}]"
    )
    first, second = (scenarios.budgets_of(Budgets(), step.budgets) for step in scenarios.steps(found, 1))
    assert [first.of_clock(name) for name in ("replacements", "targets", "traffic")] == [5, 6, 7]
    assert {second.of_clock(name) for name in ("replacements", "targets", "traffic")} == {9}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "the file"),
        ("name: x\nsteps: []", "steps"),
        ("name: x\nsteps: [{fault: earthquake}]", "there is no fault earthquake"),
        ("name: x\nsteps: [{fault: scale, with: {to: 3}}]", "to"),
        ("name: x\nsteps: [{}]", "either a `fault`"),
        ("name: x\nsteps: [{fault: scale, together: [{fault: scale}]}]", "either a `fault`"),
        ("name: x\nsteps: [{fault: pod-kill, count: 1, percent: 2}]", "both say"),
        ("name: x\nsurprise: 1\nsteps: [{fault: scale}]", "surprise"),
        ("name: [", "line 1"),
    ],
)
def test_mistakes_are_named(text: str, named: str) -> None:
    with pytest.raises(UsageProblem) as problem:
        parsed(text)
    assert problem.value.code == "CHAOS-SCENARIO"
    assert named in problem.value.why


def test_the_shipped_schema_is_the_one_of_the_code_and_accepts_the_shipped_scenarios() -> None:
    schema = json.loads(scenarios.SCHEMA.read_text())
    assert schema == scenarios.schema(), "write it again: chaosctl chaos schema > chaosctl/chaos/scenarios/schema.json"
    for path in scenarios.SHIPPED.glob("*.yaml"):
        jsonschema.validate(YAML(typ="safe").load(path.read_text()), schema)
    assert {"quick", "seed"} <= scenarios.shipped().keys()


@pytest.mark.parametrize(
    "wrong",
    [{"name": "x", "steps": [{"fault": "scale", "with": {"to": 1}}]}, {"name": "x", "steps": [{"fault": "quake"}]}],
)
def test_the_schema_refuses_what_the_code_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, scenarios.schema())


def test_the_seed_list_is_covered() -> None:
    """M7: pod kill (one, several, forced), scale, PDB, then node, AZ and rollout faults."""
    steps = scenarios.steps(scenarios.load("seed"), 1)
    faults = {step.aim.fault for step in steps}
    modes = {step.aim.mode for step in steps if step.aim.fault == "pod-kill"}
    assert faults >= {
        "pod-kill",
        "scale",
        "bad-rollout",
        "rolling-restart",
        "node-drain",
        "node-terminate",
        "zone-loss",
    }
    assert modes == set(Mode)
    assert any((step.aim.count or 1) > 1 for step in steps)


class Scene:
    """Carries out steps on a cluster in memory."""

    def __init__(self, cluster: FakeCluster, directory: Path) -> None:
        self.cluster, self.directory = cluster, directory
        self.replaced: list[frozenset[str]] = []

    def planned(self, number: int, step: Step, replaced: frozenset[str]) -> FaultPlan:
        self.replaced.append(replaced)
        return FAULTS[step.aim.fault].plan(step.aim, PLACE, self.cluster)

    def act(self, number: int, step: Step, plan: FaultPlan) -> Result:
        made = replace(experiment(self.cluster, step.aim), plan=plan)
        return runner.run(made, world(self.cluster, self.directory))


def steps_of(*aims: Aim) -> list[Step]:
    return [Step(aim.fault, aim, {}) for aim in aims]


def test_steps_run_in_order_and_the_later_ones_know_what_was_replaced(tmp_path: Path) -> None:
    scene = Scene(whole_cluster(), tmp_path)
    outcomes = campaign.run(steps_of(Aim(1), Aim(2)), scene.planned, scene.act)
    assert [o.verdict for o in outcomes] == [Verdict.PASS, Verdict.PASS]
    first = outcomes[0].result
    assert first is not None
    assert scene.replaced == [frozenset(), frozenset({first.kills[0].uid})]


def test_the_worst_verdict_counts_and_what_cannot_be_planned_is_refused(tmp_path: Path) -> None:
    scene = Scene(whole_cluster(), tmp_path)
    outcomes = campaign.run(steps_of(Aim(1, count=4), Aim(2)), scene.planned, scene.act)
    assert [o.verdict for o in outcomes] == [Verdict.REFUSED, Verdict.PASS]
    assert isinstance(outcomes[0].refusal, Refused)
    assert campaign.worst(outcomes) is Verdict.REFUSED


def test_nothing_follows_a_step_that_did_not_recover(tmp_path: Path) -> None:
    cluster = whole_cluster()
    cluster.replace = False
    scene = Scene(cluster, tmp_path)
    outcomes = campaign.run(steps_of(Aim(1), Aim(2)), scene.planned, scene.act)
    assert [o.verdict for o in outcomes] == [Verdict.NOT_RECOVERED]


def test_every_verdict_has_a_place_among_the_worse() -> None:
    assert set(campaign.WORSE) == set(Verdict)
    assert campaign.WORSE[0] is Verdict.PASS


def test_an_aim_from_a_plan_chooses_the_same_again() -> None:
    cluster = whole_cluster(6, 3)
    for fault in ("pod-kill", "app-crash", "scale", "node-terminate"):
        aim = Aim(7, fault=fault, percent=40 if fault in ("pod-kill", "app-crash") else None)
        plan = FAULTS[fault].plan(aim, PLACE, cluster)
        FAULTS[fault].verify(plan, campaign.aim_of(plan, Aim(seed=99)), cluster)


def test_an_error_takes_nothing_away_of_what_earlier_steps_came_to(tmp_path: Path) -> None:
    scene = Scene(whole_cluster(), tmp_path)

    def planned(number: int, step: Step, replaced: frozenset[str]) -> FaultPlan:
        if number == 1:
            raise Unreachable("the Kubernetes API does not answer", code="KUBE-UNREACHABLE")
        return scene.planned(number, step, replaced)

    steps = steps_of(Aim(1), Aim(2), Aim(3))
    outcomes = campaign.run(steps, planned, scene.act)
    assert [o.verdict for o in outcomes] == [Verdict.PASS, Verdict.INVALID]
    left = campaign.not_run(steps, outcomes)
    assert list(left) == [1, 2]
    assert "does not answer" in left[1][1] and left[2][1] == "not reached: step 2 ended the scenario"


def test_an_error_of_the_first_step_is_the_commands_own(tmp_path: Path) -> None:
    def act(number: int, step: Step, plan: FaultPlan) -> Result:
        raise Unreachable("the Kubernetes API does not answer", code="KUBE-UNREACHABLE")

    with pytest.raises(Unreachable):
        campaign.run(steps_of(Aim(1), Aim(2)), Scene(whole_cluster(), tmp_path).planned, act)
