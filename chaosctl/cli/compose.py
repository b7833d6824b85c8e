"""The composition root: settings become a target, a target becomes the context that stages work in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chaosctl import config
from chaosctl.config import Settings
from chaosctl.events import Emit
from chaosctl.findings import Check
from chaosctl.stages.stage import Context
from chaosctl.target import Target


def environment_dir(settings: Settings) -> Path:
    """Where the files of one deployment are: lock, kubeconfig, Terraform data."""
    return config.state_dir() / "environments" / settings.target / settings.environment


def open_context(settings: Settings, emit: Emit, *, start: bool) -> Context | None:
    """The context for these settings; None when the target does not exist and must not be started."""
    target = _open_target(settings, emit, start=start)
    if target is None:
        return None
    workdir = environment_dir(settings)
    workdir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Context(settings, target, emit, _LazyToolbox(settings, emit), workdir)


def _open_target(settings: Settings, emit: Emit, *, start: bool) -> Target | None:
    if settings.target == "lab":
        from chaosctl.lab.target import open_lab

        return open_lab(settings, emit, start=start)
    from chaosctl.cli import targets

    if settings.target == "aws":
        return targets.open_aws(settings, emit)
    return targets.open_kube_context(settings)


def own_checks(settings: Settings) -> tuple[Check, ...]:
    """What `doctor` can look at while the target does not exist: whether this machine could carry it."""
    if settings.target == "lab":
        from chaosctl.lab.target import checks

        return checks(settings)
    return ()


class _LazyToolbox:
    """Tools: nothing is looked for until a stage asks for a program."""

    def __init__(self, settings: Settings, emit: Emit) -> None:
        self._settings, self._emit = settings, emit
        self._found: dict[str, Path] = {}

    def __call__(self, *names: str) -> Mapping[str, Path]:
        missing = [name for name in names if name not in self._found]
        if missing:
            from chaosctl.toolbox import Toolbox

            toolbox = Toolbox(config.cache_dir(), self._settings.toolbox, self._emit)
            self._found.update(toolbox.ensure(*missing))
        return {name: self._found[name] for name in names}
