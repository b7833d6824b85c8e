"""The workflows that users copy: they call the program as it is, pin what they use, and may do little."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from chaosctl.cli.completion import places
from chaosctl.cli.main import app

FILES = sorted((Path(__file__).parents[2] / "examples" / "github-actions").glob("*.yml"))


def steps(file: Path) -> Iterator[dict[str, Any]]:
    for job in yaml.safe_load(file.read_text())["jobs"].values():
        yield from job["steps"]


def scripts(file: Path) -> list[str]:
    return [step["run"] for step in steps(file) if "run" in step]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_actions_are_pinned_by_commit_with_their_version(file: Path) -> None:
    used = re.findall(r"uses: (.+)", file.read_text())
    assert used
    assert [use for use in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_rights_are_named_and_no_secret_is_needed(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    granted = [workflow["permissions"], *(job.get("permissions", {}) for job in workflow["jobs"].values())]
    assert {right for grant in granted for right in grant.items()} <= {("contents", "read"), ("id-token", "write")}
    assert "secrets." not in file.read_text()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_from_outside_becomes_a_part_of_a_script(file: Path) -> None:
    assert [script for script in scripts(file) if "${{" in script] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_command_and_option_exists(file: Path) -> None:
    known = {place.path: place.words for place in places(typer.main.get_command(app))}
    called = [
        line for script in scripts(file) for line in re.findall(r"^.*?chaosctl ([a-z][^|&\n]+)", script, re.MULTILINE)
    ]
    assert len(called) >= 4
    for line in called:
        words = shlex.split(line)
        path = max((p for p in known if words[: len(p.split())] == p.split()), key=len)
        options = [word for word in words if word.startswith("--")]
        assert [option for option in options if option not in known[path]] == [], line


def test_destroying_builds_nothing_first() -> None:
    (aws,) = (file for file in FILES if file.name == "aws.yml")
    destroying = [step for step in steps(aws) if "== 'destroy'" in str(step.get("if")) and "run" in step]
    assert [step["run"] for step in destroying] == ["chaosctl infra --only-access"]


def test_credentials_last_no_longer_than_a_role_allows_by_default() -> None:
    lasting = [
        s["with"]["role-duration-seconds"] for f in FILES for s in steps(f) if "role-to-assume" in s.get("with", {})
    ]
    assert lasting and max(lasting) <= 3600
