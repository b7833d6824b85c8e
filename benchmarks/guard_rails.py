"""Can a plan be made that escapes the guard rails? The properties of the tests, on ten thousand random plans each.

    python benchmarks/guard_rails.py [--plans 10000] [--seed 1]

Random pods, owners, namespaces, labels, readiness, budgets, nodes, aims, parts that happen at once, and seeds, made by
Hypothesis, which looks for the smallest counterexample when one fails. The cluster lists pods of other namespaces and
with other labels as well, and changes between the plan and the look right before the injection. Cluster, account,
namespace, labels, last ready pod, half of the ready pods, PodDisruptionBudgets and last node:
tests/unit/chaos/test_plan.py and test_faults.py say what holds. Then a thousand plans of each of some seeds are made in
processes with different hashes, from lists in another order each time: all of a seed have to be the same.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from importlib import import_module
from pathlib import Path

import hypothesis

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.unit.chaos import same_plans

SEEDS, IDENTICAL, PROCESSES = 3, 1000, 4
PROPERTIES = {
    "test_plan": (
        "test_no_plan_escapes_the_guard_rails",
        "test_a_plan_is_carried_out_only_where_it_was_made_for_and_within_the_guard_rails",
        "test_the_same_seed_chooses_the_same_victims_in_whatever_order_pods_are_listed",
    ),
    "test_faults": ("test_no_fault_escapes_the_guard_rails", "test_the_order_of_the_lists_does_not_matter"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plans", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}; seed {options.seed}")
    # Before the tests are imported: those with settings of their own take the rest from the profile of that moment.
    hypothesis.settings.register_profile("thorough", max_examples=options.plans, deadline=None, database=None)
    hypothesis.settings.load_profile("thorough")
    for module, names in PROPERTIES.items():
        for name in names:
            begun = time.monotonic()
            holds = getattr(import_module(f"tests.unit.chaos.{module}"), name)
            hypothesis.seed(options.seed)(holds)()  # raises with the counterexample
            said = name.removeprefix("test_").replace("_", " ")
            print(f"{options.plans:>7} plans: {said} ({time.monotonic() - begun:.0f} s)")
    for seed in range(options.seed, options.seed + SEEDS):
        begun = time.monotonic()
        found = {same_plans.made_elsewhere(seed, IDENTICAL // PROCESSES, hashes) for hashes in range(PROCESSES)}
        if len(found) != 1:
            sys.exit(f"the plans of the seed {seed} differ from process to process")
        print(f"{IDENTICAL:>7} plans: those of the seed {seed} are identical ({time.monotonic() - begun:.0f} s)")


if __name__ == "__main__":
    main()
