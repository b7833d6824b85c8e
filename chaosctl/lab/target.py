"""The lab as a target: the endpoint and operator of its AWS, its charts, and what stands in for what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
from chaosctl.stages import app, autoscaler, controller
from chaosctl.target import ChartSource, StandIn, Target

STAND_INS = (
    StandIn("an embedded AWS on this machine (moto and reconcilers)", "Amazon Web Services"),
    StandIn("chaosctl's ALB controller", "AWS Load Balancer Controller"),
    StandIn("chaosctl's unstable backend", "lucasscrt/chaotic-backend:latest"),
)
AUTOSCALER = StandIn("chaosctl's autoscaler of nodes", "Kubernetes Cluster Autoscaler")


def remove_remains_of_lab(settings: Settings, emit: Emit) -> bool:
    """Remove what a lab left that was killed while it was made; False when there is nothing."""
    lab = Lab(layouts.default(), settings, emit)
    if lab.aws.exists() or not lab.remains():
        return False
    lab.stop()
    return True


def open_lab(settings: Settings, emit: Emit, *, start: bool, heal: bool = False) -> Target | None:
    """The lab of this user as a target; None when there is none. `start` makes one, `heal` restarts one that died."""
    lab = Lab(layouts.default(), settings, emit)
    if start or (heal and lab.aws.exists()):
        lab.start()
    elif not lab.aws.answers(emit):
        return None
    env = lab.aws.environment(settings.region, settings.tls.domain)
    aws = Aws(env, settings.region)
    if start and settings.tls.zone:
        certificate.own_zone(aws, settings.tls.zone)
    return Target(
        name="lab",
        region=settings.region,
        aws_env=env,
        charts=_charts(settings, lab),
        state_bucket=f"chaosctl-state-{lab.aws.account_id()}-{settings.region}",
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
    others = inventory.environments(Aws(lab.aws.environment(settings.region), settings.region)) - {settings.environment}
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
    found = [] if lab.aws.running() else preflight.problems(lab.layout, lab.settings.lab.aws_port)
    yield from (problem(what, remedy) for what, remedy in found)
    if not found:
        yield ok("it can carry the lab: rights, kernel, cgroups, disk")


def _remains(lab: Lab) -> Iterator[Finding]:
    left = [] if lab.aws.running() or preflight.is_elsewhere() else cleanup.inventory(lab.layout)
    if left:
        yield warning(
            f"{len(left)} things of a lab that does not run, such as {left[0]}",
            "`chaosctl up` carries on with it, `chaosctl lab stop` removes it",
        )
    else:
        yield ok("none")


def _stand_ins(settings: Settings, lab: Lab) -> tuple[StandIn, ...]:
    if _upstream(lab):
        return STAND_INS[:1]
    return (*STAND_INS, AUTOSCALER) if settings.infra.node_autoscaling else STAND_INS


def _charts(settings: Settings, lab: Lab) -> dict[str, ChartSource]:
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
