"""Can a plan be made that escapes the guard rails? The properties of the tests, on ten thousand random plans each.

    python benchmarks/guard_rails.py [--plans 10000] [--seed 1]

Random pods, owners, namespaces, readiness, budgets, nodes, aims and seeds, made by Hypothesis, which looks for the
smallest counterexample when one fails. Namespace, last ready pod, half of the ready pods, PodDisruptionBudgets and last
node: tests/unit/chaos/test_plan.py and test_faults.py say what holds; and that the order of lists does not matter.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.unit.chaos import test_faults, test_plan

PROPERTIES: tuple[Callable[[], None], ...] = (
    test_plan.test_no_plan_escapes_the_guard_rails,
    test_plan.test_the_same_seed_chooses_the_same_victims_in_whatever_order_pods_are_listed,
    test_faults.test_no_fault_escapes_the_guard_rails,
    test_faults.test_the_order_of_the_lists_does_not_matter,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plans", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}; seed {options.seed}")
    thorough = hypothesis.settings(max_examples=options.plans, deadline=None, database=None)
    for holds in PROPERTIES:
        begun = time.monotonic()
        hypothesis.seed(options.seed)(thorough(holds))()  # raises with the counterexample
        name = holds.__name__.removeprefix("test_").replace("_", " ")
        print(f"{options.plans:>7} plans: {name} ({time.monotonic() - begun:.0f} s)")


if __name__ == "__main__":
    main()
