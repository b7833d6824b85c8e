"""Do many writers of one kubeconfig at once lose anything?

    python benchmarks/kubeconfig.py [--writers 50] [--runs 10] [--json]

What each writer does is in tests/unit/adapters/kubeconfig_writers.py.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.unit.adapters.kubeconfig_writers import Outcome, run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--writers", type=int, default=50)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    outcomes = [_once(options.writers) for _ in range(options.runs)]
    seconds = sorted(outcome.seconds for outcome in outcomes)
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        "load": os.getloadavg()[0],
        "writers": options.writers,
        "clean runs": f"{sum(outcome.clean for outcome in outcomes)} of {len(outcomes)}",
        "seconds": f"{seconds[0]:.1f} to {seconds[-1]:.1f}",
        "not clean": [asdict(outcome) for outcome in outcomes if not outcome.clean],
    }
    print(json.dumps(report) if options.json else "\n".join(f"{key}: {value}" for key, value in report.items()))
    sys.exit(1 if report["not clean"] else 0)


def _once(writers: int) -> Outcome:
    with tempfile.TemporaryDirectory() as directory:
        return run(writers, Path(directory))


if __name__ == "__main__":
    main()
