"""What `up` does, in order."""

from __future__ import annotations

from chaosctl.stages.alarms import Alarms
from chaosctl.stages.app import App
from chaosctl.stages.controller import Controller
from chaosctl.stages.doctor import Doctor
from chaosctl.stages.infra import Infra
from chaosctl.stages.kubeconfig import Kubeconfig
from chaosctl.stages.smoke import Smoke
from chaosctl.stages.stage import Stage


def stages(*, switch: bool = False) -> list[Stage]:
    """The stages of `up`; each needs what those before it made. `switch` as in the kubeconfig stage."""
    return [
        Doctor(),
        Infra(),
        Kubeconfig(switch),
        Controller(),
        App(),
        Alarms(),
        Smoke(),
    ]
