from __future__ import annotations

import pytest

from chaosctl.chaos.prober.body import BodyCheck


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": ', b'{"a": "\xff"}', b"[" * 100_000, b"[]", b'{"b": 1}'])
def test_what_is_not_json_with_the_keys_is_wrong_and_nothing_else_happens(body: bytes) -> None:
    right = BodyCheck(("a",), lambda keys: None)
    assert right(b'{"a": 1, "b": 2}')
    assert not right(body)


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000])
def test_a_first_answer_that_is_no_json_sets_no_keys(body: bytes) -> None:
    learnt: list[list[str]] = []
    right = BodyCheck(None, learnt.append)
    assert right(body) and right(b"anything") and not right(b"")
    assert learnt == [[]]
