"""The stage that lets the user's kubectl in."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl.adapters import kubeconfig
from chaosctl.adapters.aws import Cluster
from chaosctl.adapters.kube import NAMESPACES
from chaosctl.config import Settings
from chaosctl.errors import ChaosctlError, PreconditionFailed, Unreachable
from chaosctl.events import Step
from chaosctl.stages.access import Access
from chaosctl.stages.stage import Context, StageResult
from chaosctl.waiting import TimedOut, wait_until

ACCESS_SECONDS = 60.0  # until a new access entry is known to the API server; EKS needs up to half a minute
PASSED_ON = ("CHAOSCTL_STATE_DIR", "AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")


def entry_name(context: Context) -> str:
    """What our cluster, user and context are called: the cluster's name, and what it does not say yet about where.

    So the lab's context and a real one never overwrite each other, though both clusters have the same name.
    """
    return _entry_name(context.settings)


def _entry_name(settings: Settings) -> str:
    fields, name = Settings.model_fields, settings.cluster_name
    if settings.environment != fields["environment"].default and not name.endswith(f"-{settings.environment}"):
        name = f"{name}-{settings.environment}"
    return name if settings.target == fields["target"].default else f"{name}-{settings.target}"


@dataclass(frozen=True)
class Kubeconfig:
    """Adds the cluster to the user's kubeconfig. The current context stays what it is unless `switch`."""

    switch: bool = False
    name: str = "kubeconfig"

    def describe(self) -> str:
        """What it is going to do."""
        return "let kubectl in, with an entry in the kubeconfig"

    def run(self, context: Context) -> StageResult:
        """Write the entry, and see that the cluster answers and accepts us."""
        access = Access(context)
        _wait_for_access(access, context)
        name = entry_name(context)
        path = kubeconfig.file_for(name, kubeconfig.files())
        changed = kubeconfig.write(path, _entry(context, access.cluster), switch=self.switch)
        if changed:
            context.emit(Step(f"{path}: context {name}" + (", now the current one" if self.switch else "")))
        return StageResult(changed, f"kubectl --context {name}", {"file": str(path), "context": name})


def remove(context: Context) -> bool:
    """Take our entry out of the user's kubeconfig files. False when there was none."""
    return remove_entry(context.settings)


def remove_entry(settings: Settings) -> bool:
    """The same for a target that is gone."""
    name = _entry_name(settings)
    removed = [kubeconfig.remove(path, name) for path in kubeconfig.files()]  # all files, not only the first
    return any(removed)


def _entry(context: Context, cluster: Cluster) -> kubeconfig.Entry:
    return kubeconfig.Entry(
        name=entry_name(context),
        server=cluster.endpoint,
        ca=cluster.ca,
        user={"exec": _plugin(context, cluster)},
        namespace=context.settings.namespace,
    )


def _plugin(context: Context, cluster: Cluster) -> dict[str, Any]:
    """How kubectl gets a token: it runs `chaosctl token`, which finds the credentials itself; none are written here."""
    program, *arguments = _ourselves()
    settings = context.settings
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": program,
        "args": [
            *arguments,
            *("token", "--cluster-name", cluster.name, "--region", context.target.region),
            *("--target", settings.target, "--environment", settings.environment),
        ],
        "env": [{"name": n, "value": value} for n, value in _passed_on(context).items()] or None,
        "interactiveMode": "Never",
        "provideClusterInfo": False,
    }


def _passed_on(context: Context) -> dict[str, str]:
    """What the plugin needs of our environment, and the profile that the settings name."""
    given = {**os.environ, **({"AWS_PROFILE": context.settings.profile} if context.settings.profile else {})}
    return {name: given[name] for name in PASSED_ON if given.get(name)}


def _ourselves() -> list[str]:
    """The command line that starts this very program from any directory."""
    beside = Path(sys.executable).parent / "chaosctl"
    found = str(beside) if beside.exists() else shutil.which("chaosctl")
    return [os.path.abspath(found)] if found else [sys.executable, "-m", "chaosctl"]  # noqa: PTH100, keeps symlinks


def _wait_for_access(access: Access, context: Context) -> None:
    last: ChaosctlError | None = None

    def admitted() -> tuple[bool, str]:
        nonlocal last
        try:
            access.kube.get(NAMESPACES, "kube-system")
        except (PreconditionFailed, Unreachable) as error:
            last = error
            return False, error.why
        return True, ""

    try:
        wait_until(admitted, "the cluster to let us in", timeout=ACCESS_SECONDS, emit=context.emit, interval=0.5)
    except TimedOut:
        assert last is not None
        raise last from None
