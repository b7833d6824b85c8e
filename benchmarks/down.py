"""Does `down` leave nothing, whatever stands in its way?

    python benchmarks/down.py [--runs 20] [--seed 1] [--json]

Needs root: it starts a lab of its own. Each run deploys, puts obstacles in the way (tests/lab/obstacles.py), removes
everything with `chaosctl down`, and compares the AWS account, as boto3 lists it, with how it was before. Five kinds of
runs take turns: with a living controller, with one that was scaled to nothing, one that was deleted, one that dies
while `down` runs, and an `up` that was killed together with its Terraform at a random moment, seeded. The first four
have all obstacles at once, the last those that are possible in what there is. The lab itself is removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.lab import obstacles
from tests.lab.account import census
from tests.lab.interruption import EVERYTHING, Point, end_at
from tests.lab.machine import Snapshot
from tests.lab.user import User

KINDS = ("controller lives", "controller scaled to nothing", "controller deleted", "controller dies", "half-built up")
MOMENTS = (
    r"aws_vpc.main: create (started|done)",
    r"aws_nat_gateway\S*: create started",
    r"aws_eks_cluster.main: create (started|running)",
    r"aws_eks_node_group.main: create (started|running)",
    r"installing aws-load-balancer-controller",
    r"installing chaotic-backend",
)
ENDS = ("Nothing is left", "There was nothing to remove")  # the latter when an `up` was killed before it made anything
KEEPER = "keeps-the-lab"  # a role of another environment: the lab stays, which saves its start each time


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as directory:
        user = User(Path(directory))
        machine = Snapshot.take(user.home)
        try:
            runs = measure(user, options.runs, options.seed, options.first)
        finally:
            user.chaosctl("lab", "stop", "--yes", status=None)
            left = Snapshot.take(user.home) - machine
    report = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "seed": options.seed,
        "runs": runs,
        "clean": sum(run["clean"] for run in runs),
        "left on the machine": left,
    }
    print(json.dumps(report) if options.json else _text(report))
    sys.exit(0 if report["clean"] == len(runs) and not report["left on the machine"] else 1)


def measure(user: User, count: int, seed: int, first: int) -> list[dict[str, Any]]:
    user.chaosctl("lab", "start")
    aws = cache(user.aws)
    aws("iam").create_role(
        RoleName=KEEPER,
        AssumeRolePolicyDocument="{}",
        Tags=[{"Key": "chaosctl:environment", "Value": "another"}],
    )
    before, runs = census(aws), []
    for number in range(first, first + count):
        kind, chance = KINDS[number % len(KINDS)], random.Random(f"{seed}/{number}")
        prepare(user, kind, chance)
        begun, load = time.monotonic(), os.getloadavg()[0]
        said, status = down(user, kind)
        left = sorted(census(aws) - before)
        runs.append(
            {
                "kind": kind,
                "clean": status == 0 and any(end in said for end in ENDS) and not left,
                "seconds": round(time.monotonic() - begun, 1),
                "load": round(load, 1),
                "left": left,
                "said": said[-4000:],
            }
        )
        print(json.dumps(runs[-1] | {"said": said.splitlines()[-1:]}), file=sys.stderr, flush=True)
    return runs


def prepare(user: User, kind: str, chance: random.Random) -> None:
    """Deploy, wholly or half, and put everything in the way."""
    if kind == "half-built up":
        end_at(user, Point("a random moment", chance.choice(MOMENTS), EVERYTHING), "up")
        obstacles.put(user, obstacles.ANYWHERE)
        return
    user.chaosctl("up")
    obstacles.put(user, obstacles.DEPLOYED)
    if kind == "controller scaled to nothing":
        obstacles.controller_scaled_to_nothing(user)
    elif kind == "controller deleted":
        obstacles.controller_deleted(user)


def down(user: User, kind: str) -> tuple[str, int]:
    """What `down` said, and its exit status."""
    process = user.start("down", "--yes")
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if kind == "controller dies" and re.search(r"deleted Ingress", line):
            kind = "controller has died"
            obstacles.controller_scaled_to_nothing(user)
    out, _ = process.communicate(timeout=60)
    return said + out, process.returncode


def _text(report: dict[str, Any]) -> str:
    lines = [f"{report['machine']}, seed {report['seed']}"]
    for run in report["runs"]:
        how = "clean" if run["clean"] else f"NOT CLEAN: {run['left']} {run['said']}"
        lines.append(f"{run['kind']:<28} {run['seconds']:6.1f} s at load {run['load']:4.1f}  {how}")
    lines.append(f"{report['clean']} of {len(report['runs'])} clean; on the machine: {report['left on the machine']}")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="begin with this run, to go on where another one ended")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, subprocess.SubprocessError) as error:
        sys.exit(f"a run could not be prepared: {error}")
