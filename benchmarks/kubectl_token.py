"""How long does kubectl wait for its token, next to `aws eks get-token`?

    python benchmarks/kubectl_token.py [--runs 20] [--peers PYTHON] [--json]

kubectl runs the plugin that its kubeconfig entry names at each call. Both sign with keys that are made up here, which
takes no network. Whole processes, in turns. Passes when chaosctl's median is not above that of the AWS CLI, which lives
in an environment made from benchmarks/peers_aws.txt.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.peers import peers_python

CLUSTER = ("--cluster-name", "chaotic-backend-cluster", "--region", "us-west-2")
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "made-up", "AWS_CONFIG_FILE": os.devnull}
SIGNED = "X-Amz-Signature="


def main() -> None:
    options = _options()
    peers = Path(options.peers) if options.peers else peers_python("aws")
    ways = {
        "chaosctl token": [sys.executable, "-m", "chaosctl", "token", *CLUSTER, "--target", "aws"],
        "aws eks get-token": [str(peers), "-m", "awscli", "eks", "get-token", *CLUSTER],
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.runs):
        for way, argv in ways.items():
            taken[way].append(_seconds(argv))
    medians = {way: statistics.median(seconds) for way, seconds in taken.items()}
    ours, theirs = medians.values()
    report = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": round(os.getloadavg()[0], 1),
        "runs": options.runs,
        "seconds": {way: round(seconds, 2) for way, seconds in medians.items()},
        "ratio": round(ours / theirs, 2),
    }
    print(json.dumps(report, indent=2) if options.json else _text(report))
    sys.exit(ours > theirs)


def _seconds(argv: Sequence[str]) -> float:
    begun = time.monotonic()
    done = subprocess.run(argv, env={**os.environ, **KEYS}, capture_output=True, text=True, check=False)
    taken = time.monotonic() - begun
    if done.returncode or SIGNED not in _presigned(done.stdout):
        sys.exit(f"{' '.join(argv)}: {done.stderr or 'its token is not a signed URL'}")
    return taken


def _presigned(credential: str) -> str:
    """The URL in an ExecCredential's token."""
    text = json.loads(credential)["status"]["token"].partition(".")[2]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()


def _text(report: Mapping[str, object]) -> str:
    return "\n".join(f"{key}: {value}" for key, value in report.items())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--peers", default="", help="Python with the packages of benchmarks/peers_aws.txt")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
