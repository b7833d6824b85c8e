"""What a program says its version is, and whether that one will do."""

from __future__ import annotations

import re

from chaosctl.toolbox.table import Tool, Version


def parse(text: str, pattern: str) -> str:
    """The first version that `pattern` (one group) finds in what a program printed, or "" when there is none."""
    found = re.search(pattern, text)
    return found.group(1) if found else ""


def as_tuple(version: str) -> Version:
    """`1.36.3` as (1, 36, 3)."""
    return tuple(int(part) for part in version.split("."))


def answer(tool: Tool, text: str) -> str:
    """The version in a program's answer, or "" when it has none or lacks what the tool must say."""
    return parse(text, tool.pattern) if tool.says in text else ""


def suits(tool: Tool, version: str) -> bool:
    """Whether `version` ("" when unknown) is one that the table allows."""
    return bool(version) and tool.minimum <= as_tuple(version) < tool.below
