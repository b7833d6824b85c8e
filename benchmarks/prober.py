"""What does the prober cost, and which rate can it no longer hold?

    python benchmarks/prober.py [--rate 200] [--seconds 20] [--tls] [--no-saturation] [--json]

The prober sends at a server in a process of its own, which answers at once. First at the rate that matters: processor
time of the prober, and how late it sends (its own delay, not the server's). Then at higher and higher rates, until more
than 1 % of the requests leave over 25 ms late, which makes a run INVALID: there it saturates. Passes when the first
costs less than a tenth of one core. With --tls every new connection shakes hands first, and no ceiling is promised.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaosctl.chaos import events as e
from chaosctl.chaos.experiment import TrafficPlan
from chaosctl.chaos.outage import percentile
from chaosctl.chaos.requests import STREAMS
from chaosctl.chaos.tester import MAX_LAG
from chaosctl.chaos.traffic import ProberProcess
from tests.contract.chaos.driver import CERTIFICATE, Heard, certificate, faulty_server

WARM_UP = 2.0  # seconds that are not counted as late: pools fill, pages are touched
CEILING = 10.0  # per cent of one core
STEP = 1.3  # from one rate to the next
HIGHEST = 10_000.0
TRIAL = 6.0  # seconds at each of the higher rates
TIMEOUT = 0.5  # seconds; a longer one needs more descriptors at high rates, and then the rate is refused at once


@dataclass(frozen=True)
class Held:
    """What a rate, in requests a second on each of two streams, came to."""

    rate: float
    requests: int
    failed: int
    cpu_percent: float
    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float

    @property
    def holds(self) -> bool:
        """Whether a run at this rate could be believed."""
        return self.lag_p99_ms <= MAX_LAG and not self.failed


def main() -> None:
    options = _options()
    cost = measure(options.rate, options.seconds, tls=options.tls)
    higher = [] if options.no_saturation else list(until_it_saturates(options.rate, tls=options.tls))
    report = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": os.getloadavg()[1],
        "cost": asdict(cost),
        "higher": [asdict(held) for held in higher],
    }
    print(json.dumps(report, indent=2) if options.json else _text(report, [cost, *higher]))
    sys.exit(not (cost.holds and (options.tls or cost.cpu_percent < CEILING)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200, help="requests a second on each of two streams")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--tls", action="store_true", help="HTTPS, with a certificate made for it")
    parser.add_argument("--no-saturation", action="store_true", help="only the cost at the given rate")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def measure(rate: float, seconds: float, *, tls: bool = False) -> Held:
    """Hold a rate for so long."""
    heard = Heard()
    with (
        tempfile.TemporaryDirectory() as directory,
        faulty_server(*_keys(directory, tls)) as server,
    ):
        plan = TrafficPlan(f"{server.url}/probe/data", rate, TIMEOUT, expected_keys=("users",))
        trusting = replace(plan, ca_file=str(Path(directory) / CERTIFICATE) if tls else "")
        prober = ProberProcess(trusting, heard.tell)
        time.sleep(seconds)
        prober.stop()
    ended = heard.one(e.TrafficEnded)
    assert isinstance(ended, e.TrafficEnded)
    requests = [request for stream in STREAMS for request in heard.requests(stream)]
    late = sorted(r.lag / 1000 for r in requests if r.number > rate * WARM_UP)
    return Held(
        rate=round(rate),
        requests=len(requests),
        failed=sum(not request.ok for request in requests),
        cpu_percent=round(100 * ended.cpu_seconds / ended.seconds, 1),
        lag_p50_ms=round(percentile(late, 50), 2),
        lag_p99_ms=round(percentile(late, 99), 2),
        lag_max_ms=round(late[-1], 2),
    )


def _keys(directory: str, tls: bool) -> tuple[str, ...]:
    return certificate(Path(directory)) if tls else ()


def until_it_saturates(rate: float, *, tls: bool = False) -> Iterator[Held]:
    """Higher and higher rates, the first that is not held included."""
    while rate < HIGHEST:
        rate *= STEP
        held = measure(rate, TRIAL, tls=tls)
        yield held
        if not held.holds:
            return


def _text(report: dict[str, object], rows: list[Held]) -> str:
    lines = [f"{report['machine']}, load {report['load']:.1f}", ""]
    lines.append(
        f"{'a second, twice':<18}{'requests':>10}{'failed':>8}{'core':>9}{'late p50':>11}{'p99':>11}{'max':>11}"
    )
    lines += [
        f"{row.rate:<18g}{row.requests:>10}{row.failed:>8}{row.cpu_percent:>7.1f} %{row.lag_p50_ms:>8.2f} ms"
        f"{row.lag_p99_ms:>8.2f} ms{row.lag_max_ms:>8.1f} ms{'' if row.holds else '  not held'}"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
