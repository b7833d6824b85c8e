"""How well does chaosctl see an outage whose true beginning and end are known? And others, in the same run?

    python benchmarks/ground_truth.py [--outages 200] [--rate 200] [--seed 1] [--tls] [--no-vegeta] [--json]

A server in a process of its own fails for 0.1, 0.25, 1 and 5 s in five ways (refused, reset, hung, 5xx, wrong body), in
a seeded order. Three ways of measuring look at it at once: chaosctl's prober with its two streams, vegeta (open loop, a
Go module, built into the cache the first time), and uncorrected closed loops that ask every 2 s, and 5 times a second.
For each: how many outages were found, and by how much their durations are off. Passes when chaosctl finds all of them,
each in one piece and no others, within one period in the median and within 20 ms at worst. With --tls all is HTTPS.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.closed_loop import ClosedLoop
from benchmarks.vegeta import Vegeta
from chaosctl.chaos import events as e
from chaosctl.chaos import outage
from chaosctl.chaos.experiment import TrafficPlan
from chaosctl.chaos.outage import Outage, percentile
from chaosctl.chaos.requests import STREAMS, Request
from chaosctl.chaos.traffic import ProberProcess
from tests.contract.chaos.driver import CERTIFICATE, FaultyServer, Heard, certificate, faulty_server
from tests.contract.chaos.faulty_server import MODES

LENGTHS = (0.1, 0.25, 1.0, 5.0)
TIMEOUT = 0.5  # seconds; good time between two outages is longer, so that each hung request ends as its own outage's
PAUSE = (0.7, 1.0)  # seconds of good time between two outages
KEYS = ("users",)
CLOSED = {"closed loop, every 2 s": 2.0, "closed loop, 5/s": 0.2}
WORST_MS = 20.0
Truth = list[tuple[str, float, float]]


@dataclass(frozen=True)
class Score:
    """What one way of measuring found. Errors of the durations in milliseconds, of those outages that were found."""

    name: str
    found: int
    in_pieces: int  # outages during which some request went well: they are several
    false: int  # outages of which no request was in flight while the server failed
    median_error_ms: float | None
    p95_error_ms: float | None
    worst_error_ms: float | None
    worst_kind: str
    downtime_seconds: float  # of all that it found
    requests: int


def main() -> None:
    options = _options()
    scores, truth, prober = measure(
        options.outages, options.rate, options.seed, vegeta=not options.no_vegeta, tls=options.tls
    )
    report = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": os.getloadavg()[1],
        "rate": options.rate,
        "tls": options.tls,
        "outages": len(truth),
        "downtime_seconds": round(sum(end - begin for _, begin, end in truth), 3),
        "seed": options.seed,
        "scores": [asdict(score) for score in scores],
        "prober": prober,
    }
    print(json.dumps(report, indent=2) if options.json else _text(report, scores))
    sys.exit(not all(_good(score, len(truth), options.rate) for score in scores if score.name.startswith("chaosctl")))


def _good(score: Score, outages: int, rate: float) -> bool:
    median, worst = score.median_error_ms, score.worst_error_ms
    return (
        score.found == outages
        and (score.false, score.in_pieces) == (0, 0)
        and median is not None
        and worst is not None
        and median <= 1000 / rate
        and worst <= WORST_MS
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outages", type=int, default=200)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tls", action="store_true", help="HTTPS, with a certificate made for it")
    parser.add_argument("--no-vegeta", action="store_true", help="without Go")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def schedule(outages: int, seed: int) -> list[tuple[str, float, float]]:
    """Way, length and the good time before it: every way with every length equally often, shuffled."""
    chance = random.Random(seed)
    made = [(MODES[n % len(MODES)], LENGTHS[n // len(MODES) % len(LENGTHS)]) for n in range(outages)]
    chance.shuffle(made)
    return [(mode, length, chance.uniform(*PAUSE)) for mode, length in made]


def measure(
    outages: int, rate: float, seed: int, *, vegeta: bool, tls: bool = False
) -> tuple[list[Score], Truth, dict[str, object]]:
    """Let the server fail so many times under all eyes."""
    wanted, heard = schedule(outages, seed), Heard()
    lasts = sum(length + pause for _, length, pause in wanted) * 1.02 + 3
    with (
        tempfile.TemporaryDirectory() as directory,
        faulty_server(*_keys(directory, tls)) as server,
    ):
        ca_file = str(Path(directory) / CERTIFICATE) if tls else ""
        url = f"{server.url}/probe/data"
        offset = time.time() - time.monotonic()
        attack = Vegeta(url, rate, TIMEOUT, lasts, Path(directory), ca_file) if vegeta else None
        loops = {name: ClosedLoop(url, interval, 5.0, ca_file) for name, interval in CLOSED.items()}
        prober = ProberProcess(TrafficPlan(url, rate, TIMEOUT, expected_keys=KEYS, ca_file=ca_file), heard.tell)
        truth = _fail(server, wanted)
        prober.stop()
        seen = {f"chaosctl, {stream} connections": (heard.requests(stream), 1 / rate) for stream in STREAMS}
        if attack is not None:
            seen["vegeta"] = (attack.requests(KEYS, offset), 1 / rate)
        seen |= {name: (loop.requests(), CLOSED[name]) for name, loop in loops.items()}
    return [_score(name, truth, *found) for name, found in seen.items()], truth, _prober(heard)


def _keys(directory: str, tls: bool) -> tuple[str, ...]:
    return certificate(Path(directory)) if tls else ()


def _fail(server: FaultyServer, wanted: Sequence[tuple[str, float, float]]) -> Truth:
    truth = []
    for mode, length, pause in wanted:
        time.sleep(pause)
        truth.append((mode, *server.fail(mode, length)))
    time.sleep(PAUSE[1])
    return truth


def _score(name: str, truth: Truth, requests: Sequence[Request], period: float) -> Score:
    found = outage.outages(requests, period)
    matches = [[o for o in found if o.begin < end and o.end > begin] for _, begin, end in truth]
    pairs = [
        (kind, 1000 * abs(m[-1].end - m[0].begin - (end - begin)))
        for (kind, begin, end), m in zip(truth, matches, strict=True)
        if m
    ]
    errors = sorted(error for _, error in pairs)
    return Score(
        name=name,
        found=len(pairs),
        in_pieces=sum(_broken(m, requests, begin, end) for m, (_, begin, end) in zip(matches, truth, strict=True)),
        false=sum(not _explained(o, requests, truth) for o in found),
        median_error_ms=round(statistics.median(errors), 2) if errors else None,
        p95_error_ms=round(percentile(errors, 95), 2) if errors else None,
        worst_error_ms=round(errors[-1], 2) if errors else None,
        worst_kind=max(pairs, key=lambda pair: pair[1])[0] if pairs else "",
        downtime_seconds=round(sum(_lasts(found)), 3),
        requests=len(requests),
    )


def _explained(found: Outage, requests: Sequence[Request], truth: Truth) -> bool:
    """Whether some of it was in flight while the server failed: what is under way when it resets is cut too."""
    own = [r for r in requests if not r.ok and found.begin <= r.intended / 1e6 < found.end]
    last = max((r.intended + r.latency) / 1e6 for r in own)
    return any(found.begin < end and last > begin for _, begin, end in truth)


def _broken(pieces: Sequence[Outage], requests: Sequence[Request], begin: float, end: float) -> bool:
    """Whether a request was answered well between two of them, while the server failed.

    Not one that was under way when it became good again: a busy machine may look at a SYN ten milliseconds late.
    """
    gaps = [(one.end, next_one.begin) for one, next_one in pairwise(pieces)]
    well = [(r.intended / 1e6, (r.intended + r.latency) / 1e6) for r in requests if r.ok] if gaps else []
    return any(first <= sent < last and begin <= sent and got < end for first, last in gaps for sent, got in well)


def _lasts(found: Sequence[Outage]) -> list[float]:
    return [o.seconds for o in found]


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


def _text(report: dict[str, object], scores: Sequence[Score]) -> str:
    best = scores[0].median_error_ms or 0.01
    head = (
        f"{report['machine']}, load {report['load']:.1f}\n"
        f"{report['outages']} outages, {report['downtime_seconds']} s in all, {report['rate']:g} requests a second, "
        f"seed {report['seed']}\n\n"
        f"{'':<28}{'found':>7}{'pieces':>8}{'false':>7}{'median':>10}{'p95':>10}{'worst':>11}  {'worst kind':<11}"
        f"{'downtime':>10}{'median / ours':>15}"
    )
    return "\n".join([head, *(_row(score, best) for score in scores), "", f"prober: {json.dumps(report['prober'])}"])


def _row(s: Score, best: float) -> str:
    errors = (s.median_error_ms, s.p95_error_ms, s.worst_error_ms)
    shown = "".join(
        f"{'-' if ms is None else f'{ms:.1f} ms':>{width}}" for ms, width in zip(errors, (10, 10, 11), strict=True)
    )
    ratio = "-" if s.median_error_ms is None else f"{s.median_error_ms / best:.1f}"
    return (
        f"{s.name:<28}{s.found:>7}{s.in_pieces:>8}{s.false:>7}{shown}  {s.worst_kind:<11}"
        f"{s.downtime_seconds:>9.2f}s{ratio:>15}"
    )


if __name__ == "__main__":
    main()
