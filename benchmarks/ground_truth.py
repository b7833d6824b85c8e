"""How well does chaosctl see an outage whose true beginning and end are known?

    python benchmarks/ground_truth.py [--outages 25] [--rate 200] [--seed 1] [--json]

A server in a process of its own fails for 0.1, 0.25 and 1 s in five ways (refused, reset, hung, 5xx, wrong body), in a
seeded order, while the prober sends its two streams. For each stream: how many outages were found, and by how much
their durations are off. Also: the prober's own lag, and the processor time that it takes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaosctl.chaos import events as e
from chaosctl.chaos.experiment import TrafficPlan
from chaosctl.chaos.outage import Outage, percentile
from chaosctl.chaos.requests import STREAMS
from chaosctl.chaos.traffic import ProberProcess
from tests.contract.chaos.driver import Heard, faulty_server
from tests.contract.chaos.faulty_server import MODES

LENGTHS = (0.1, 0.25, 1.0)
TIMEOUT = 0.5  # seconds; good time between two outages is longer, so that each hung request ends as its own outage's
Truth = list[tuple[str, float, float]]


def main() -> None:
    options = _options()
    heard, truth = measure(options.outages, options.rate, options.seed)
    report = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "rate": options.rate,
        "outages": len(truth),
        "seed": options.seed,
        "streams": {s: _errors(truth, heard.outages(s, options.rate)) for s in STREAMS},
        "prober": _prober(heard),
    }
    print(json.dumps(report, indent=2) if options.json else _text(report))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outages", type=int, default=25)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def measure(outages: int, rate: float, seed: int) -> tuple[Heard, Truth]:
    """Let the server fail so many times; returns what was heard and what was true."""
    chance, heard, truth = random.Random(seed), Heard(), []
    schedule = [(MODES[n % len(MODES)], chance.choice(LENGTHS)) for n in range(outages)]
    chance.shuffle(schedule)
    with faulty_server() as server:
        url = f"http://127.0.0.1:{server.port}/probe/data"
        prober = ProberProcess(TrafficPlan(url, rate, TIMEOUT, expected_keys=("users",)), heard.tell)
        for mode, length in schedule:
            time.sleep(0.3 + chance.random() * 0.2)
            truth.append((mode, *server.fail(mode, length)))
        time.sleep(0.3)
        prober.stop()
    return heard, truth


def _errors(truth: Truth, found: tuple[Outage, ...]) -> dict[str, object]:
    """Errors of the durations in milliseconds. A request that goes well at its edge makes an outage come in pieces."""
    matches = [[o for o in found if o.begin < end and o.end > begin] for _, begin, end in truth]
    pairs = [
        (kind, 1000 * abs(m[-1].end - m[0].begin - (end - begin)))
        for (kind, begin, end), m in zip(truth, matches, strict=True)
        if m
    ]
    errors = sorted(error for _, error in pairs)
    return {
        "found": len(pairs),
        "in_pieces": sum(len(m) > 1 for m in matches),
        "false": len(found) - sum(len(m) for m in matches),
        "median_error_ms": round(statistics.median(errors), 2),
        "p95_error_ms": round(percentile(errors, 95), 2),
        "worst_error_ms": round(errors[-1], 2),
        "worst_kind": max(pairs, key=lambda pair: pair[1])[0],
    }


def _prober(heard: Heard) -> dict[str, object]:
    lags = sorted(r.lag / 1000 for s in STREAMS for r in heard.requests(s))
    ended = heard.one(e.TrafficEnded)
    assert isinstance(ended, e.TrafficEnded)
    return {
        "requests": len(lags),
        "lag_p50_ms": round(percentile(lags, 50), 2),
        "lag_p99_ms": round(percentile(lags, 99), 2),
        "lag_max_ms": round(lags[-1], 2),
        "cpu_percent_of_a_core": round(100 * ended.cpu_seconds / ended.seconds, 1),
    }


def _text(report: dict[str, object]) -> str:
    return "\n".join(f"{key}: {json.dumps(value)}" for key, value in report.items())


if __name__ == "__main__":
    main()
