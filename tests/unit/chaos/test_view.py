from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaosctl.chaos.experiment import Aim, Mode
from chaosctl.chaos.runner import run
from chaosctl.cli import chaos_view as view
from chaosctl.ui.render import report_json, report_text
from tests.unit.chaos.fakes import cluster_of, experiment, world


def test_the_result_is_shown_to_people_and_to_machines(tmp_path: Path) -> None:
    cluster = cluster_of()
    result = run(experiment(cluster), world(cluster, tmp_path))
    report = view.concluded(result, tmp_path / "journal.jsonl", "chaosctl chaos --kill-pods --seed 1")
    text, data = report_text(report), json.loads(report_json("chaos", report))["result"]
    (kill,) = result.kills
    for shown in ("PASS", kill.uid, kill.replacement_uid, "targets healthy", "longest outage", "--seed 1"):
        assert shown in text
    assert (data["verdict"], data["exit_status"]) == ("PASS", 0)
    assert data["streams"][0]["totals"]["scheduled"] > 0


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["--kill-pods"], "chaosctl chaos --kill-pods --seed 7"),
        (["--kill-pods", "--seed=7"], "chaosctl chaos --kill-pods --seed=7"),
        (
            ["--plan", "p.json", "--evict", "--rate", "9"],
            "chaosctl chaos --kill-pods --count 2 --evict --rate 9 --seed 7",
        ),
        (["--plan=p.json"], "chaosctl chaos --kill-pods --count 2 --evict --seed 7"),
    ],
)
def test_the_command_that_repeats_a_run_names_its_seed(words: list[str], again: str) -> None:
    assert view.repeat(Aim(seed=7, mode=Mode.EVICT, count=2), words) == again


@pytest.mark.parametrize("words", [["--plan", "p.json", "--seed=3"], ["--seed", "3", "--plan=p.json"], []])
def test_a_step_of_a_scenario_is_repeated_with_the_whole_scenario(words: list[str]) -> None:
    assert view.repeat(Aim(seed=7), ("run", "quick", *words), 2) == "chaosctl chaos run quick --seed 5"
