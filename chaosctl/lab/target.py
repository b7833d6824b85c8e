"""The lab as a target: the endpoint and operator of its AWS, its charts, and what stands in for what."""

from __future__ import annotations

import json
from pathlib import Path

from chaosctl import config
from chaosctl.config import Settings
from chaosctl.events import Emit
from chaosctl.lab import layout as layouts
from chaosctl.lab.lab import Lab
from chaosctl.target import ChartSource, StandIn, Target

CONTROLLER = "aws-load-balancer-controller"
STAND_INS = (
    StandIn("an embedded AWS on this machine (moto and reconcilers)", "Amazon Web Services"),
    StandIn("chaosctl's ALB controller", "AWS Load Balancer Controller"),
    StandIn("chaosctl's unstable backend", "lucasscrt/chaotic-backend:latest"),
)


def open_lab(settings: Settings, emit: Emit, *, start: bool) -> Target | None:
    """The lab of this user as a target; started when it is not running and `start`, else None then."""
    lab = Lab(layouts.default(), settings, emit)
    if start:
        lab.start()
    elif not lab.running():
        return None
    return Target(
        name="lab",
        region=settings.region,
        aws_env=_environment(lab, settings.region),
        charts=_charts(settings, lab),
        state_bucket=f"chaosctl-state-{lab.account_id()}-{settings.region}",
        terraform_variables={"public_access_cidrs": settings.infra.public_access_cidrs or ["127.0.0.0/8"]},
        stand_ins=STAND_INS,
        release=lab.stop,
    )


def _environment(lab: Lab, region: str) -> dict[str, str]:
    operator = json.loads((lab.layout.aws / "operator.json").read_text())
    return {
        "AWS_ENDPOINT_URL": lab.endpoint,
        "AWS_ACCESS_KEY_ID": operator["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": operator["SecretAccessKey"],
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _charts(settings: Settings, lab: Lab) -> dict[str, ChartSource]:
    helm = config.asset("helm")
    values = helm / "values" / "lab"
    return {
        CONTROLLER: ChartSource(str(helm / f"{CONTROLLER}-lab"), values=_existing(values / f"{CONTROLLER}.yaml")),
        settings.release: ChartSource(
            str(helm / "chaotic-backend"),
            values=_existing(values / "chaotic-backend.yaml", _moods(settings, lab), settings.app.values),
        ),
    }


def _moods(settings: Settings, lab: Lab) -> Path:
    """A values file that says how the stand-in backend wanders; its variables are those of standins/backend.py."""
    wanted = settings.lab
    shortest, longest = wanted.backend_cold_start_seconds
    variables = {
        "CHAOTIC_COLD_START_SECONDS": f"{shortest},{longest}",
        "CHAOTIC_CRASHES_PER_HOUR": f"{wanted.backend_crashes_per_hour:g}",
    }
    if wanted.backend_seed is not None:
        variables["CHAOTIC_SEED"] = str(wanted.backend_seed)
    file = lab.layout.root / "backend-values.json"  # JSON is YAML
    file.write_text(json.dumps({"extraEnv": [{"name": name, "value": value} for name, value in variables.items()]}))
    return file


def _existing(*files: Path | None) -> tuple[Path, ...]:
    return tuple(file for file in files if file is not None and file.exists())
