from __future__ import annotations

import re

import pytest

from chaosctl.lab.aws.cloudwatch.expressions import Unsupported, evaluate
from chaosctl.places import asset

A, B = {0: 10.0, 60: 20.0}, {60: 5.0, 120: 7.0}
PERIODS = [0, 60, 120]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a + b", {60: 25}),
        ("a - 1", {0: 9, 60: 19}),
        ("100 * b / a", {60: 25}),
        ("-(a)", {0: -10, 60: -20}),
        ("a ^ 2", {0: 100, 60: 400}),
        ("FILL(a, 0) + FILL(b, 0)", {0: 10, 60: 25, 120: 7}),
        ("a / FILL(empty, 0)", {}),  # a division by zero has no value
        ("IF(a > 15, b, 0)", {0: 0, 60: 5}),
        ("SUM([a, b])", {0: 10, 60: 25, 120: 7}),
        ("MAX([a, b])", {0: 10, 60: 20, 120: 7}),
        ("3", {0: 3, 60: 3, 120: 3}),
    ],
)
def test_expressions(expression: str, expected: dict[int, float]) -> None:
    assert evaluate(expression, {"a": A, "b": B, "empty": {}}, PERIODS) == expected


@pytest.mark.parametrize("expression", ["a +", "c", "ANOMALY_DETECTION_BAND(a)", "[a, b]", "a and b", "a.__class__"])
def test_what_it_cannot_do_is_said(expression: str) -> None:
    with pytest.raises(Unsupported):
        evaluate(expression, {"a": A, "b": B}, PERIODS)


def test_the_alarm_on_nodes_sees_a_node_that_says_so_one_that_is_silent_and_that_nobody_looks() -> None:
    text = (asset("terraform") / "alarms" / "alarms.tf").read_text()
    [expression] = re.findall(r'expression += "(failed .+)"', text)
    failed, ready = {0: 0.0, 60: 0.0, 120: 1.0, 240: 0.0}, {0: 1.0, 60: 0.0, 120: 1.0, 180: 0.0}
    found = evaluate(expression, {"failed": failed, "ready": ready}, [0, 60, 120, 180, 240])
    assert found == {0: 0, 60: 1, 120: 1, 240: 0}
