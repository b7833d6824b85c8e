"""What `terraform show -json` says of a plan: which resource would change how, with nothing secret in it.

Format: https://developer.hashicorp.com/terraform/internals/json-format
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

HIDDEN = "(sensitive)"
LATER = "(known after apply)"
ABSENT = "(none)"
ACTIONS = {("create",): "create", ("update",): "update", ("delete",): "delete", ("read",): "read", ("no-op",): "no-op"}


@dataclass(frozen=True)
class AttributeChange:
    """One attribute, by its path such as scaling_config.0.max_size; both sides as text, secrets replaced."""

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}: {self.before} -> {self.after}"


@dataclass(frozen=True)
class ResourceChange:
    """What happens to a resource: create, update, replace, delete, read or no-op. Values may hold secrets."""

    address: str
    type: str
    action: str
    attributes: tuple[AttributeChange, ...]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    @property
    def matters(self) -> bool:
        """Whether an apply would touch something that exists, or make something."""
        return self.action not in ("no-op", "read")

    @property
    def follows(self) -> bool:
        """Whether nothing is known to differ: it names something else that is only going to be made."""
        later = [attribute.after == LATER for attribute in self.attributes]
        return self.action == "update" and bool(later) and all(later)


def changes(shown: Mapping[str, Any]) -> list[ResourceChange]:
    """All managed resources, also those that stay as they are."""
    found = shown.get("resource_changes") or ()
    return [_change(r) for r in found if r.get("mode", "managed") == "managed"]


def _change(resource: Mapping[str, Any]) -> ResourceChange:
    change = resource["change"]
    action = ACTIONS.get(tuple(change["actions"]), "replace")
    differing = tuple(_attributes(change)) if action in ("update", "replace") else ()
    return ResourceChange(
        resource["address"], resource["type"], action, differing, change.get("before"), change.get("after")
    )


def _attributes(change: Mapping[str, Any]) -> Iterator[AttributeChange]:
    hidden = (change.get("before_sensitive"), change.get("after_sensitive"))
    yield from _compare((), change.get("before"), change.get("after"), change.get("after_unknown"), hidden)


def _compare(
    path: tuple[str, ...], before: Any, after: Any, unknown: Any, hidden: tuple[Any, Any]
) -> Iterator[AttributeChange]:
    if unknown is True:
        yield AttributeChange(".".join(path), _text(before, hidden[0]), LATER)
    elif True in hidden:
        if before != after:
            yield AttributeChange(".".join(path), HIDDEN, HIDDEN)
    elif _both(dict, before, after) or _both(list, before, after):
        for key in _keys(before, after, unknown):
            parts = (_part(x, key) for x in (before, after, unknown, *hidden))
            old, new, later, *secret = parts
            yield from _compare((*path, str(key)), old, new, later, (secret[0], secret[1]))
    elif before != after:
        yield AttributeChange(".".join(path), _text(before, hidden[0]), _text(after, hidden[1]))


def _both(kind: type, before: Any, after: Any) -> bool:
    return isinstance(before, kind) and isinstance(after, kind)


def _keys(before: Any, after: Any, unknown: Any) -> list[Any]:
    if isinstance(before, list):
        return list(range(max(len(before), len(after))))
    return sorted({*before, *after, *(unknown if isinstance(unknown, dict) else ())})


def _part(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int):
        return value[key] if key < len(value) else None
    return value if value is True else None  # "all of it is sensitive", "all of it is unknown"


def _text(value: Any, hidden: Any) -> str:
    """For people, in one line. What has a secret somewhere inside is a secret as a whole."""
    if _any(hidden):
        return HIDDEN
    text = ABSENT if value is None else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _any(flags: Any) -> bool:
    if isinstance(flags, dict):
        return any(map(_any, flags.values()))
    if isinstance(flags, list):
        return any(map(_any, flags))
    return bool(flags)
