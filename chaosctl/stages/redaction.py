"""Kubernetes objects as text that may be shown: what is secret in them is replaced, and differences of it are said."""

from __future__ import annotations

import copy
import difflib
import re
from typing import Any

from chaosctl.adapters import yaml_text

Object = dict[str, Any]
SECRET_NAME = re.compile(r"passw|secret|token|credential|api_?key|private_?key", re.IGNORECASE)
HIDDEN, HIDDEN_NEW = "(secret)", "(secret, another one)"
KEPT_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"  # repeats the whole object, secrets included


def diff(before: Object | None, after: Object | None) -> list[str]:
    """The lines of a unified diff, without a heading; empty when both are the same."""
    old, new = shown(before), shown(after, other=before)
    lines = difflib.unified_diff(_yaml(old), _yaml(new), n=2, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++"))]


def shown(obj: Object | None, *, other: Object | None = None) -> Object | None:
    """A copy without secrets. With `other`, a secret that is not the same in that one is marked."""
    if obj is None:
        return None
    result = copy.deepcopy(obj)
    (result.get("metadata", {}).get("annotations") or {}).pop(KEPT_APPLIED, None)
    if result.get("kind") == "Secret":
        for table in ("data", "stringData"):
            values, others = result.get(table) or {}, (other or {}).get(table) or {}
            values.update({key: _mark(value, others.get(key, value)) for key, value in values.items()})
    _hide_variables(result, other)
    return result


def _mark(value: Any, other: Any) -> str:
    return HIDDEN if value == other else HIDDEN_NEW


def _hide_variables(node: Any, other: Any) -> None:
    """Values of environment variables whose names tell that they are secret, wherever they are."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            _hide_variables(item, other[index] if isinstance(other, list) and index < len(other) else None)
    elif isinstance(node, dict):
        if set(node) == {"name", "value"} and SECRET_NAME.search(str(node["name"])):
            same = other.get("value", node["value"]) if isinstance(other, dict) else node["value"]
            node["value"] = _mark(node["value"], same)
        for key, value in node.items():
            _hide_variables(value, other.get(key) if isinstance(other, dict) else None)


def _yaml(obj: Object | None) -> list[str]:
    return [] if obj is None else yaml_text.written(obj).splitlines()
