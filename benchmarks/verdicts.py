"""Can a run be made to lie? 500 sabotaged and 500 healthy ones, on a simulated clock.

    python benchmarks/verdicts.py [--runs 500] [--seed 1] [--json]

The runner, the gate, the recovery clocks and the verdict are the real ones; cluster, load balancer, prober and machine
are simulated, and spoilt in the ways that tests/unit/chaos/simulation.py lists. Passes when no sabotaged run is a PASS,
and at most one healthy run is not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaosctl.chaos.verdict import Verdict
from tests.unit.chaos.simulation import healthy, sabotaged, simulate

ALLOWED = 1  # healthy runs that may fail


def main() -> None:
    options = _options()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        spoilt = _sabotaged(options.runs, options.seed, Path(directory))
        sound = _healthy(options.runs, options.seed, Path(directory))
    report = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "runs": options.runs,
        "seed": options.seed,
        "seconds": round(time.monotonic() - begun, 1),
        "sabotaged": {name: dict(counts) for name, counts in spoilt.items()},
        "healthy": dict(sound),
        "false_passes": sum(counts["PASS"] for counts in spoilt.values()),
        "false_failures": options.runs - sound["PASS"],
    }
    print(json.dumps(report, indent=2) if options.json else _text(report, spoilt))
    sys.exit(report["false_passes"] > 0 or report["false_failures"] > ALLOWED)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _sabotaged(runs: int, seed: int, directory: Path) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for number in range(runs):
        name, how = sabotaged(number, random.Random(f"{seed} sabotaged {number}"))
        found[name][simulate(number, how, directory).verdict.value] += 1
    return found


def _healthy(runs: int, seed: int, directory: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for number in range(runs):
        result = simulate(number, healthy(random.Random(f"{seed} healthy {number}")), directory)
        found[result.verdict.value] += 1
        if result.verdict is not Verdict.PASS:
            print(f"healthy run {number}: {result.verdict.value}: {'; '.join(result.reasons)}", file=sys.stderr)
    return found


def _text(report: dict[str, object], spoilt: dict[str, Counter[str]]) -> str:
    lines = [f"{report['machine']}; seed {report['seed']}; {report['seconds']} s", ""]
    lines += [f"{name:<40}{_counts(counts)}" for name, counts in spoilt.items()]
    lines += ["", f"healthy: {report['healthy']}"]
    return "\n".join([*lines, f"false passes: {report['false_passes']}, false failures: {report['false_failures']}"])


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {verdict}" for verdict, n in counts.most_common())


if __name__ == "__main__":
    main()
