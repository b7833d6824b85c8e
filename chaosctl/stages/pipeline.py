"""What `up` does, in order."""

from __future__ import annotations

from collections.abc import Iterator

from chaosctl.stages import autoscaler
from chaosctl.stages.alarms import Alarms
from chaosctl.stages.app import App
from chaosctl.stages.autoscaler import Autoscaler
from chaosctl.stages.controller import Controller
from chaosctl.stages.doctor import Doctor
from chaosctl.stages.infra import Infra
from chaosctl.stages.kubeconfig import Kubeconfig
from chaosctl.stages.smoke import Smoke
from chaosctl.stages.stage import Context, Stage


def stages(context: Context, *, switch: bool = False) -> Iterator[Stage]:
    """The stages of `up`; each needs what those before it made, and is asked for when those are done.

    `switch` as in the kubeconfig stage.
    """
    yield Doctor()
    yield Infra()
    yield Kubeconfig(switch)
    yield Controller()
    if autoscaler.concerns(context):
        yield Autoscaler()
    yield App()
    yield Alarms()
    yield Smoke()
