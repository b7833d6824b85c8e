"""Plans of one seed, made over and over from lists in another order each time; as a program, in a process of its own.

    PYTHONHASHSEED=7 python -m tests.unit.chaos.same_plans SEED COUNT

Prints for each fault a digest of its plan, as JSON; fails when two plans of one fault differ. Shared by test_faults.py
and benchmarks/guard_rails.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path

from chaosctl.chaos import plan as plans
from chaosctl.chaos.experiment import Aim
from chaosctl.chaos.faults import SINGLE
from tests.unit.chaos.fakes import PLACE, anything, shuffle

ROOT = Path(__file__).resolve().parents[3]


def digests(seed: int, count: int) -> dict[str, str]:
    """`count` plans in all, of one fault after the other."""
    chance, found = random.Random(), dict[str, str]()
    for name in islice(cycle(SINGLE), max(count, len(SINGLE))):
        cluster = anything()
        shuffle(cluster, chance)
        plan = plans.to_plain(SINGLE[name].plan(Aim(seed, fault=name), PLACE, cluster))
        digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
        if found.setdefault(name, digest) != digest:
            sys.exit(f"two plans of {name} for the seed {seed} differ")
    return found


def made_elsewhere(seed: int, count: int, hashes: int) -> str:
    """What such a process prints. Raises CalledProcessError when two of its plans differ."""
    argv = [sys.executable, "-m", __name__, str(seed), str(count)]
    environment = os.environ | {"PYTHONHASHSEED": str(hashes), "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.stdout.write(json.dumps(digests(int(sys.argv[1]), int(sys.argv[2])), sort_keys=True))
