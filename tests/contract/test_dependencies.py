"""pyproject.toml declares what is imported, and nothing else; the lock files hold what it declares."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"chaosctl", "tests", "benchmarks"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _name(requirement: str) -> str:
    """As the package index compares names: `ruamel.yaml` and `ruamel-yaml` are one."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~! ;]", requirement)[0]).lower()


def declared(*requirements: str) -> set[str]:
    return {_name(requirement) for requirement in requirements}


RUN = declared(*PROJECT["dependencies"])
DEV = declared(*PROJECT["optional-dependencies"]["dev"])


def _modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def imported(*directories: str) -> set[str]:
    """Distributions whose modules are imported there; a namespace package counts for all that share it."""
    trees = [ast.parse(path.read_text()) for directory in directories for path in (ROOT / directory).rglob("*.py")]
    tops = {module.partition(".")[0] for tree in trees for module in _modules(tree)}
    known = packages_distributions()
    return {_name(found) for top in tops - OURS - set(sys.stdlib_module_names) for found in known.get(top, [top])}


def test_what_the_program_imports_is_declared() -> None:
    assert imported("chaosctl") - RUN == set()


def test_what_the_tests_import_is_declared() -> None:
    assert imported("tests", "benchmarks") - RUN - DEV == set()


def test_what_is_declared_is_imported() -> None:
    started = {"supervisor"}  # as a program of its own
    assert RUN - imported("chaosctl") - started == set()


@pytest.mark.parametrize(("lock", "wanted"), [("requirements.lock", RUN), ("requirements-dev.lock", RUN | DEV)])
def test_the_lock_file_pins_it(lock: str, wanted: set[str]) -> None:
    pinned = re.findall(r"^([a-z0-9.-]+)==", (ROOT / lock).read_text(), re.MULTILINE)
    assert wanted - set(pinned) == set()
