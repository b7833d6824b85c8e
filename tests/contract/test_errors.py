"""docs/errors.md and docs/exit-statuses.md list exactly what the source can say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from chaosctl.errors import ExitStatus

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([A-Z0-9-]+)` \| (\d+) \| (.+) \| (.+) \|$", re.MULTILINE)
STATUS = re.compile(r"^\| (\d+) \| ([A-Z_]+) \|", re.MULTILINE)


TREES = [ast.parse(path.read_text()) for path in (ROOT / "chaosctl").rglob("*.py")]
CLASSES = [node for tree in TREES for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def raised() -> Iterator[tuple[str, str]]:
    """Every code with the name of the class that it is given to."""
    inside = {call: made.name for made in CLASSES for call in ast.walk(made)}  # `super().__init__(code=...)`
    for call in (node for tree in TREES for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func).rpartition(".")[2]
        for keyword in call.keywords:
            if (
                keyword.arg == "code"
                and isinstance(keyword.value, ast.Constant)
                and isinstance(keyword.value.value, str)
            ):
                yield keyword.value.value, inside[call] if name == "__init__" else name


def codes() -> set[str]:
    return {code for code, _ in raised()}


def statuses(name: str) -> set[int]:
    """What the classes of this name end with: their own status, or that of what they are made from."""
    found: set[int] = set()
    for made in (made for made in CLASSES if made.name == name):
        own = [s.value for s in made.body if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == "status"]
        found |= {int(ExitStatus[value.attr]) for value in own if isinstance(value, ast.Attribute)}
        if not own:
            found |= {s for base in made.bases for s in statuses(ast.unparse(base).rpartition(".")[2])}
    return found


def documented() -> dict[str, int]:
    return {code: int(status) for code, status, _, _ in ROW.findall((ROOT / "docs" / "errors.md").read_text())}


def test_every_code_is_documented_and_none_besides() -> None:
    assert set(documented()) == codes()


def test_codes_are_upper_case_with_dashes() -> None:
    assert [code for code in codes() if not re.fullmatch(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*", code)] == []


def test_the_documented_status_is_that_of_the_class() -> None:
    listed = documented()
    assert [(code, name, listed[code]) for code, name in raised() if statuses(name) != {listed[code]}] == []


def test_every_exit_status_is_documented_by_its_name() -> None:
    listed = STATUS.findall((ROOT / "docs" / "exit-statuses.md").read_text())
    assert {int(number): name for number, name in listed} == {int(s): s.name for s in ExitStatus}
