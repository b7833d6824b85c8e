from __future__ import annotations

from typing import Any

import pytest

from chaosctl.adapters.terraform_plan import ResourceChange, changes


def change(actions: list[str], before: Any = None, after: Any = None, **more: Any) -> ResourceChange:
    resource = {"address": "aws_x.y", "type": "aws_x", "mode": "managed"}
    body = {"actions": actions, "before": before, "after": after, **more}
    return changes({"resource_changes": [{**resource, "change": body}]})[0]


@pytest.mark.parametrize(
    ("actions", "action", "matters"),
    [
        (["create"], "create", True),
        (["no-op"], "no-op", False),
        (["read"], "read", False),
        (["delete", "create"], "replace", True),
        (["create", "delete"], "replace", True),
    ],
)
def test_actions(actions: list[str], action: str, matters: bool) -> None:
    found = change(actions, {}, {})
    assert (found.action, found.matters) == (action, matters)


def test_a_nested_attribute_is_named_by_its_path() -> None:
    found = change(["update"], {"scaling": [{"max": 4}], "same": 1}, {"scaling": [{"max": 5}], "same": 1})
    assert list(map(str, found.attributes)) == ["scaling.0.max: 4 -> 5"]


def test_what_is_only_known_later() -> None:
    found = change(["update"], {"arn": "a"}, {}, after_unknown={"arn": True})
    assert list(map(str, found.attributes)) == ["arn: a -> (known after apply)"]


def test_secrets_are_not_shown() -> None:
    before, after = {"key": "old", "all": {"x": "old"}}, {"key": "new", "all": {"x": "new"}}
    found = change(["update"], before, after, after_sensitive={"key": True, "all": {"x": True}})
    text = "".join(map(str, found.attributes))
    assert "old" not in text and "new" not in text
    assert {a.path for a in found.attributes} == {"key", "all.x"}


def test_a_secret_in_something_new_is_not_shown() -> None:
    found = change(["update"], {"a": None}, {"a": {"x": "new"}}, after_sensitive={"a": {"x": True}})
    assert list(map(str, found.attributes)) == ["a: (none) -> (sensitive)"]


def test_data_sources_are_no_resources() -> None:
    assert changes({"resource_changes": [{"mode": "data"}]}) == []
    assert changes({}) == []
