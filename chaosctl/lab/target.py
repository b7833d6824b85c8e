"""The lab as a target: the endpoint and operator of its AWS, its charts, and what stands in for what."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from chaosctl import places
from chaosctl.adapters import inventory
from chaosctl.adapters.aws import Aws
from chaosctl.config import MirrorSettings, Settings
from chaosctl.events import Emit, Warned, ignore
from chaosctl.findings import Check, Finding, ok, problem, warning
from chaosctl.lab import certificate, cleanup, images, pki, preflight, upstream
from chaosctl.lab import layout as layouts
from chaosctl.lab.lab import Lab
from chaosctl.lab.layout import AWS_ENDPOINT, Layout
from chaosctl.target import ChartSource, StandIn, Target

STAND_INS = (
    StandIn("an embedded AWS on this machine (moto and reconcilers)", "Amazon Web Services"),
    StandIn("chaosctl's ALB controller", "AWS Load Balancer Controller"),
    StandIn("chaosctl's unstable backend", "lucasscrt/chaotic-backend:latest"),
)
AUTOSCALER = StandIn("chaosctl's autoscaler of nodes", "Kubernetes Cluster Autoscaler")


def environment_of_lab(settings: Settings, emit: Emit) -> Mapping[str, str] | None:
    """Target.aws_env of the lab of this user; None when it does not run."""
    lab = Lab(layouts.default(), settings, emit)
    return _environment(lab, settings.region) if lab.answers() else None


def remove_remains_of_lab(settings: Settings, emit: Emit) -> bool:
    """Remove what a lab left that was killed while it was made; False when there is nothing."""
    lab = Lab(layouts.default(), settings, emit)
    if lab.exists() or not lab.remains():
        return False
    lab.stop()
    return True


def open_lab(settings: Settings, emit: Emit, *, start: bool, heal: bool = False) -> Target | None:
    """The lab of this user as a target; None when there is none. `start` makes one, `heal` restarts one that died."""
    lab = Lab(layouts.default(), settings, emit)
    if start or (heal and lab.exists()):
        lab.start()
    elif not lab.answers():
        return None
    env = _environment(lab, settings.region)
    aws = Aws(env, settings.region)
    if start and settings.tls.zone:
        certificate.own_zone(aws, settings.tls.zone)
    return Target(
        name="lab",
        region=settings.region,
        aws_env=env,
        charts=_charts(settings, lab),
        state_bucket=f"chaosctl-state-{lab.account_id()}-{settings.region}",
        terraform_variables={"public_access_cidrs": settings.infra.public_access_cidrs or ["127.0.0.0/8"]},
        marks=dict([lab.layout.guest_marker]),
        stand_ins=_stand_ins(settings, lab),
        certificate=lambda: certificate.ensure(aws, pki.authority(lab.layout)),
        ca_file=pki.authority_files(lab.layout).certificate,
        checks=checks(settings),
        helper_image=images.PYTHON,
        release=partial(_release, lab, settings),
    )


def _release(lab: Lab, settings: Settings) -> None:
    """Remove the lab, unless something else is deployed in it."""
    others = inventory.environments(Aws(_environment(lab, settings.region), settings.region)) - {settings.environment}
    if not others:
        lab.stop()
        return
    lab.emit(
        Warned(
            f"the lab stays: {', '.join(sorted(others))} is deployed in it",
            "`chaosctl down --environment NAME` removes that, and with the last one the lab",
        )
    )


def checks(settings: Settings) -> tuple[Check, ...]:
    """Whether this machine can carry the lab, and whether an earlier one left something on it."""
    lab = Lab(layouts.default(), settings, ignore)
    return (Check("this machine", partial(_fitness, lab)), Check("leftovers of a lab", partial(_remains, lab)))


def _fitness(lab: Lab) -> Iterator[Finding]:
    found = [] if lab.running() else preflight.problems(lab.layout, lab.settings.lab.aws_port)
    yield from (problem(what, remedy) for what, remedy in found)
    if not found:
        yield ok("it can carry the lab: rights, kernel, cgroups, disk")


def _remains(lab: Lab) -> Iterator[Finding]:
    left = [] if lab.running() or preflight.is_elsewhere() else cleanup.inventory(lab.layout)
    if left:
        yield warning(
            f"{len(left)} things of a lab that does not run, such as {left[0]}",
            "`chaosctl up` carries on with it, `chaosctl lab stop` removes it",
        )
    else:
        yield ok("none")


def _environment(lab: Lab, region: str) -> dict[str, str]:
    operator = json.loads((lab.layout.aws / "operator.json").read_text())
    return {
        **undiverted(os.environ, lab.layout, region, lab.settings.tls.domain),
        "AWS_ENDPOINT_URL": lab.endpoint,
        "AWS_ACCESS_KEY_ID": operator["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": operator["SecretAccessKey"],
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def undiverted(environment: Mapping[str, str], layout: Layout, region: str, domain: str = "") -> dict[str, str]:
    """What takes the effect from everything in `environment` that would lead an AWS SDK away from the lab.

    Empty counts as not set for all of them: profiles, session tokens, endpoints of single services, FIPS. The lab's own
    addresses are exempt from proxies; the internet is reached through them as before.
    """
    direct = ["127.0.0.0/8", layout.loopback(AWS_ENDPOINT), f".{region}.elb.amazonaws.com", domain]
    no_proxy = ",".join(filter(None, [environment.get("no_proxy") or environment.get("NO_PROXY"), *direct]))
    return {
        **{name: "" for name in environment if name.startswith("AWS_")},
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }


def _stand_ins(settings: Settings, lab: Lab) -> tuple[StandIn, ...]:
    if _upstream(lab):
        return STAND_INS[:1]
    return (*STAND_INS, AUTOSCALER) if settings.infra.node_autoscaling else STAND_INS


def _charts(settings: Settings, lab: Lab) -> dict[str, ChartSource]:
    from chaosctl.stages import app, autoscaler, controller  # not for the token that kubectl asks for at each call

    helm = places.asset("helm")
    values = helm / "values" / "lab"
    real = _upstream(lab)
    ours = () if real else (values / "chaotic-backend-stand-in.yaml", _moods(settings, lab))
    backend = app.chart_values(settings, values / "chaotic-backend.yaml", *ours)

    def chosen(release: str, published: Callable[[MirrorSettings, Path], ChartSource]) -> ChartSource:
        """The stand-in's chart takes the values of the real one."""
        own = values / f"{release}.yaml"
        return published(settings.mirrors, own) if real else ChartSource(str(helm / f"{release}-lab"), values=(own,))

    return {
        controller.RELEASE: chosen(controller.RELEASE, controller.published),
        autoscaler.RELEASE: chosen(autoscaler.RELEASE, autoscaler.published),
        settings.release: ChartSource(str(helm / "chaotic-backend"), values=backend),
    }


def _upstream(lab: Lab) -> bool:
    """Whether this lab was started to run the real programs, whatever the settings say by now."""
    return bool(upstream.chosen(lab.layout).references)


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
