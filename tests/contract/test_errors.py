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


def calls() -> Iterator[ast.Call]:
    for path in (ROOT / "chaosctl").rglob("*.py"):
        yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def codes() -> set[str]:
    arguments = (keyword for call in calls() for keyword in call.keywords if keyword.arg == "code")
    return {a.value.value for a in arguments if isinstance(a.value, ast.Constant) and isinstance(a.value.value, str)}


def documented() -> dict[str, int]:
    return {code: int(status) for code, status, _, _ in ROW.findall((ROOT / "docs" / "errors.md").read_text())}


def test_every_code_is_documented_and_none_besides() -> None:
    assert set(documented()) == codes()


def test_codes_are_upper_case_with_dashes() -> None:
    assert [code for code in codes() if not re.fullmatch(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*", code)] == []


def test_documented_statuses_exist() -> None:
    assert set(documented().values()) <= {int(status) for status in ExitStatus}


def test_every_exit_status_is_documented_by_its_name() -> None:
    listed = STATUS.findall((ROOT / "docs" / "exit-statuses.md").read_text())
    assert {int(number): name for number, name in listed} == {int(s): s.name for s in ExitStatus}
