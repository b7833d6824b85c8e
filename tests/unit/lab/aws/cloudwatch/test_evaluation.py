"""The tables of CloudWatch's own documentation on missing data, row by row."""

from __future__ import annotations

from typing import get_args

import pytest

from chaosctl.lab.aws.cloudwatch.evaluation import Missing, Rule, State, evaluate

HELD = "retain"
SHORT = {"ok": "OK", "alarm": "ALARM", "insufficient": "INSUFFICIENT_DATA"}

# datapoints to alarm (of 3), datapoints (0 within, X beyond the threshold), then MISSING IGNORE BREACHING NOT-BREACHING
TABLES = """
3 | 0 - X - X | ok           ok     ok    ok
3 | 0 - - - - | ok           ok     ok    ok
3 | - - - - - | insufficient retain alarm ok
3 | 0 X X - X | alarm        alarm  alarm alarm
3 | - - X - - | alarm        retain alarm ok
3 | - - - - X | insufficient retain alarm ok
3 | X - - - - | alarm        retain alarm ok
2 | 0 - X - X | alarm        alarm  alarm alarm
2 | 0 0 X 0 X | alarm        alarm  alarm alarm
2 | 0 - X - - | ok           ok     alarm ok
2 | - - - - 0 | ok           ok     alarm ok
2 | - - - X - | alarm        retain alarm ok
2 | - - - - X | insufficient retain alarm ok
"""
TREATMENTS: tuple[Missing, ...] = ("missing", "ignore", "breaching", "notBreaching")
ROWS = [
    (int(breaching), points.split(), treatment, expected)
    for breaching, points, states in (line.split("|") for line in TABLES.strip().splitlines())
    for treatment, expected in zip(TREATMENTS, states.split(), strict=True)
]


@pytest.mark.parametrize("current", get_args(State))
@pytest.mark.parametrize(("breaching", "points", "treatment", "expected"), ROWS)
def test_documented_tables(
    breaching: int, points: list[str], treatment: Missing, expected: str, current: State
) -> None:
    values = [{"0": 0.0, "X": 9.0, "-": None}[point] for point in points]
    rule = Rule("GreaterThanThreshold", 5, 3, breaching, treatment)
    assert len(values) == rule.range
    assert evaluate(rule, values, current) == (current if expected == HELD else SHORT[expected])


@pytest.mark.parametrize(
    ("comparison", "breaking", "fine"),
    [
        ("GreaterThanThreshold", 5.1, 5),
        ("GreaterThanOrEqualToThreshold", 5, 4.9),
        ("LessThanThreshold", 4.9, 5),
        ("LessThanOrEqualToThreshold", 5, 5.1),
    ],
)
def test_comparisons(comparison: str, breaking: float, fine: float) -> None:
    rule = Rule(comparison, 5, 1, 1)
    assert evaluate(rule, [None, None, breaking], "OK") == "ALARM"
    assert evaluate(rule, [None, None, fine], "ALARM") == "OK"


def test_only_the_last_periods_count_when_nothing_is_missing() -> None:
    rule = Rule("GreaterThanThreshold", 5, 3, 2)
    assert evaluate(rule, [9, 9, 0, 0, 9], "ALARM") == "OK"
