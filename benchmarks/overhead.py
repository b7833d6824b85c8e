"""What does `chaosctl up` cost over Terraform, Helm and Kubernetes by themselves?

    python benchmarks/overhead.py [--rounds 1] [--json]       (root; starts a lab of its own and removes it)

Both ways deploy the same files to the same running lab, from nothing to the first 200 through the load balancer. By
hand: `terraform init` and `apply` of both modules, `helm upgrade --install` of both charts with the same values, and a
request every tenth of a second. Then it is removed, and `chaosctl up` does it, with all that it does beside: looking
for trouble first, waiting for credentials, webhook, readiness gates and healthy targets. Its stages `alarms` and
`smoke`, which nobody does by hand, are taken off. The order alternates. Reported are seconds, those of the parts in the
last round, and the ratio of the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaosctl import places
from chaosctl.adapters import helm as helms
from chaosctl.cli import compose
from chaosctl.config import Settings
from chaosctl.events import ignore
from chaosctl.stages import app, controller, entrance, infra
from chaosctl.stages.access import Access
from chaosctl.stages.stage import Context
from chaosctl.toolbox import providers

PAUSE = 0.1  # seconds between two requests
AFTERWARDS = ("alarms", "smoke")  # stages of `up` that come once users reach the app
PATIENCE = 300.0  # seconds until the first 200


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="overhead-") as state:
        os.environ["CHAOSCTL_STATE_DIR"] = f"{state}/state"
        os.environ["HOME"] = state
        report = {
            "machine": f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}",
            **measure(options.rounds, Path(state)),
        }
    print(json.dumps(report) if options.json else "\n".join(f"{key}: {value}" for key, value in report.items()))


def measure(rounds: int, scratch: Path) -> dict[str, Any]:
    """Seconds of each round, in parts by hand, and the ratio of the medians."""
    taken: dict[str, list[float]] = {"by_hand": [], "chaosctl_up": []}
    parts: dict[str, Mapping[str, float]] = {}
    try:
        for number in range(rounds):
            ways = [("by_hand", _by_hand), ("chaosctl_up", _up)]
            for name, way in ways if number % 2 == 0 else reversed(ways):
                _chaosctl("lab", "start")
                started = time.monotonic()
                parts[name] = way(scratch)
                beside = sum(parts[name].get(stage, 0.0) for stage in AFTERWARDS)
                taken[name].append(round(time.monotonic() - started - beside, 1))
                _chaosctl("down")
    finally:
        _chaosctl("lab", "stop", "--yes")
    ratio = statistics.median(taken["chaosctl_up"]) / statistics.median(taken["by_hand"])
    return {**taken, "parts": parts, "ratio": round(ratio, 2)}


def _up(_: Path) -> Mapping[str, float]:
    """The program itself; returns seconds of each stage."""
    stages = json.loads(_chaosctl("up", "--json"))["result"]["stages"]
    return {name: round(stage["seconds"], 1) for name, stage in stages.items()}


def _by_hand(scratch: Path) -> Mapping[str, float]:
    """What somebody would type who knows all names and values; returns seconds of each command."""
    context = compose.open_context(Settings(), ignore, start=False)
    assert context is not None
    parts: dict[str, float] = {}

    def timed(name: str, command: Callable[[], Any]) -> Any:
        started = time.monotonic()
        result = command()
        parts[name] = round(time.monotonic() - started, 1)
        return result

    bucket, region = context.target.state_bucket, context.target.region
    state = [
        f"-backend-config=bucket={bucket}",
        f"-backend-config=key={_key(context)}",
        f"-backend-config=region={region}",
    ]
    first = {"region": region, "bucket": bucket, "adopt": False, "mark": infra.STATE_MARK, "digest": "by hand"}
    modules = places.asset("terraform")
    timed("terraform_bootstrap", lambda: _terraform(context, modules / "bootstrap", scratch / "bootstrap", [], first))
    timed("terraform", lambda: _terraform(context, modules, scratch / "main", state, infra.variables(context)))
    access = Access(context)
    chart = context.target.charts
    for name, namespace, values in (
        (controller.RELEASE, controller.NAMESPACE, controller.values(context, access)),
        (context.settings.release, context.settings.namespace, app.values(context, "")),
    ):
        merged = helms.merged(chart[name], values)
        timed(f"helm_{name}", lambda n=name, ns=namespace, m=merged: _helm(context, access, n, ns, m))
    timed("first_200", lambda: _first_answer(context, access))
    return parts


def _key(context: Context) -> str:
    return infra.STATE_KEY.format(environment=context.settings.environment)


def _terraform(context: Context, sources: Path, copy: Path, backend: list[str], variables: Mapping[str, Any]) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(sources, copy, ignore=shutil.ignore_patterns(".terraform", "tests", "bootstrap"))
    (copy / "bench.tfvars.json").write_text(json.dumps(dict(variables)))
    configuration = providers.cli_config(copy)
    environment = {**os.environ, **context.target.aws_env, "TF_CLI_CONFIG_FILE": str(configuration)}
    terraform = str(context.tool("terraform"))
    _quietly([terraform, "init", "-input=false", *backend], environment, copy)
    apply = [terraform, "apply", "-auto-approve", "-input=false", "-var-file=bench.tfvars.json"]
    _quietly(apply, environment, copy)


def _helm(context: Context, access: Access, name: str, namespace: str, values: Mapping[str, Any]) -> None:
    """With --wait, since nobody would go on to the app without it."""
    assert access.helm  # writes the kubeconfig and its token, as `aws eks update-kubeconfig` and its plugin would
    chart = context.target.charts[name]
    command = [str(context.tool("helm")), "upgrade", name, chart.ref, "--install", "--wait", "--create-namespace"]
    command += ["--namespace", namespace, "--kubeconfig", str(context.kubeconfig), "--values", "-"]
    _quietly(command, {**os.environ, **context.target.aws_env}, Path.cwd(), json.dumps(values))


def _first_answer(context: Context, access: Access) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(Exception):
            url = entrance.require_url(access.kube, context.settings.namespace, context.settings.release)
            with urllib.request.urlopen(f"{url}/probe/data", timeout=2) as answer:
                if answer.status == 200:
                    return
        time.sleep(PAUSE)
    sys.exit("by hand: no answer came")


def _chaosctl(*words: str) -> str:
    return _quietly(
        [sys.executable, "-m", "chaosctl", *words], dict(os.environ), Path(__file__).resolve().parent.parent
    )


def _quietly(command: list[str], environment: Mapping[str, str], directory: Path, stdin: str = "") -> str:
    done = subprocess.run(
        command, env=dict(environment), cwd=directory, input=stdin, text=True, capture_output=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
