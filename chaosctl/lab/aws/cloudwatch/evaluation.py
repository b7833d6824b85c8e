"""How CloudWatch comes from datapoints to the state of an alarm. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html, whose tables are tests.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Missing = Literal["missing", "ignore", "breaching", "notBreaching"]

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
SPARE = 2  # datapoints that CloudWatch retrieves beyond the evaluation periods: 5 for 3 in AWS's own examples


@dataclass(frozen=True)
class Rule:
    """What an alarm says: `breaching` of the last `periods` datapoints must compare to the threshold as told."""

    comparison: str
    threshold: float
    periods: int
    breaching: int
    missing: Missing = "missing"

    @property
    def range(self) -> int:
        """How many datapoints are looked at: real ones count even when they are older than the periods."""
        return self.periods + SPARE

    def breaks(self, value: float) -> bool:
        """Whether a value breaches the threshold."""
        return COMPARISONS[self.comparison](value, self.threshold)


def evaluate(rule: Rule, datapoints: Sequence[float | None], current: State) -> State:
    """The state of the alarm. `datapoints` are those of the evaluation range, the oldest first, None where missing."""
    recent = [(age, value) for age, value in enumerate(reversed(datapoints), 1) if value is not None][: rule.periods]
    broken = [age for age, value in recent if rule.breaks(value)]
    absent = rule.periods - len(recent)
    if absent and rule.missing == "breaching":
        return "ALARM" if len(broken) + absent >= rule.breaching else "OK"
    if not absent or rule.missing == "notBreaching" or len(broken) >= rule.breaching:
        return "ALARM" if len(broken) >= rule.breaching else "OK"
    if len(broken) < len(recent):
        return "OK"
    return _without_enough(rule, broken, current)


def _without_enough(rule: Rule, broken: Sequence[int], current: State) -> State:
    """All datapoints that there are breach (or there are none), and they are too few."""
    if rule.missing == "ignore":
        return current
    old_enough = bool(broken) and max(broken) >= rule.breaching
    return "ALARM" if old_enough else "INSUFFICIENT_DATA"
