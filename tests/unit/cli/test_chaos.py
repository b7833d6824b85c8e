from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Cli


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "CHAOS-NOTHING"),
        (("--fault", "earthquake"), "CHAOS-UNKNOWN-FAULT"),
        (("--fault", "scale", "--with", "by"), "CHAOS-OPTIONS"),
        (("--target", "aws", "list"), "USAGE"),
        (("run", "nowhere.yaml"), "CHAOS-SCENARIO"),
    ],
)
def test_words_that_mean_nothing_are_refused_before_anything_is_touched(
    cli: Cli, words: tuple[str, ...], code: str
) -> None:
    done = cli.run("chaos", *words)
    assert done.returncode == 2
    assert code in done.stderr


def test_the_schema_needs_no_cluster(cli: Cli) -> None:
    assert json.loads(cli.run("chaos", "schema").stdout)["title"] == "Scenario"


def test_faults_are_listed_without_a_cluster_too(cli: Cli) -> None:
    (cli.cwd / "chaosctl.toml").write_text("[lab]\naws_port = 1\n")  # where no lab of anybody answers
    assert "node-drain" in cli.run("chaos", "list").stdout
