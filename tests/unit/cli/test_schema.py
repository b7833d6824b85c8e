"""What `--json` prints is what `chaosctl schema` promises. The lab's tests check it for what needs a cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer

from chaosctl import __main__ as program
from chaosctl.cli import results
from chaosctl.cli.main import COMMANDS, app
from tests.unit.cli.conftest import Inside
from tests.unit.cli.json_schema import mistakes

NOT_OURS = {"token", "schema", "chaos schema"}  # what Kubernetes defines, and schemas
BY_HAND = {"completion"}  # a script, whatever the options


def leaves(group: Any, path: str = "") -> set[str]:
    """The paths of all commands that do something by themselves."""
    below = {f"{path} {name}".strip(): group.commands[name] for name in getattr(group, "commands", ())}
    itself = {path} if path and (not below or group.invoke_without_command) else set()
    return itself.union(*(leaves(command, name) for name, command in below.items()))


def test_every_command_has_a_schema() -> None:
    assert leaves(typer.main.get_command(app)) - NOT_OURS - BY_HAND == set(results.RESULTS)
    assert COMMANDS["schema"]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("version", 0),
        ("tools", 0),
        ("status", 0),
        ("cost", 0),
        ("down", 0),
        ("doctor", None),
        ("lab status", 0),
        ("lab logs", 0),
        ("chaos list", 0),
        ("chaos runs", 0),
        ("chaos --undo", 3),
        ("chaos", 2),
        ("smoke", 3),
        ("lab env", 3),
        ("url", 3),
        ("logs", 3),
        ("logs --since yesterday", 2),
        ("plan --target context", 2),
    ],
)
def test_real_output(inside: Inside, words: str, status: int | None) -> None:
    (inside.cwd / "chaosctl.toml").write_text("[lab]\naws_port = 1\n")  # where no lab of anybody answers
    done = inside.run(*words.split(), "--json")
    assert status is None or done.returncode == status, done.stderr
    told = json.loads(done.stdout)
    assert mistakes(told) == []
    assert told["command"] == words.partition(" --")[0]


def test_another_shape_is_noticed() -> None:
    good = {"schema": 1, "command": "url", "ok": True, "result": {"url": "http://x"}}
    assert mistakes(good) == []
    assert mistakes(good | {"result": {"address": "http://x"}})
    assert mistakes(good | {"command": "down"})
    assert mistakes({"schema": 1, "command": "url", "ok": True, "error": {}})


def test_of_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["schema", "chaos run"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["oneOf"][1]["properties"]["command"] == {"const": "chaos run"}


def test_of_a_command_that_has_none(inside: Inside) -> None:
    done = inside.run("schema", "moon")
    assert done.returncode == 2
    assert "SCHEMA-UNKNOWN" in done.stderr
