"""How soon is a fault named once nothing can change any more?

    python benchmarks/diagnosis.py [--json]

Needs root: it starts a lab of its own. The faults are those of tests/lab/faults.py, all at the same time; a watch of
its own notes when each is final (an image that cannot be pulled, a second restart, a pod that no node takes, a refused
creation), and the waiting's end is counted from there. The aim is 15 seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.lab.faults import cluster, seed_all
from tests.lab.user import User

AIM = 15.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, cluster(User(Path(directory))) as kube:
        ended = seed_all(kube)
    since = {name: round(how.since, 1) for name, how in ended.items() if not math.isnan(how.since)}
    report = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "seconds after it was final": since,
        "said": {name: how.error.what for name, how in ended.items()},
    }
    lines = [report["machine"], *(f"{name:<18} {seconds:5.1f} s" for name, seconds in since.items())]
    print(json.dumps(report) if options.json else "\n".join(map(str, lines)))
    sys.exit(0 if max(since.values()) <= AIM else 1)


if __name__ == "__main__":
    main()
