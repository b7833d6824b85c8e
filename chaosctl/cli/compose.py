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


def open_context(settings: Settings, emit: Emit, *, start: bool, heal: bool = False) -> Context | None:
    """The context for these settings; None when the target does not exist and must not be started.

    With `heal`, a target that exists and was killed is started again.
    """
    target = _open_target(settings, emit, start=start, heal=heal)
    if target is None:
        return None
    workdir = environment_dir(settings)
    workdir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Context(settings, target, emit, _LazyToolbox(settings, emit), workdir)


def aws_environment(settings: Settings, emit: Emit) -> Mapping[str, str] | None:
    """Target.aws_env alone, which kubectl asks for at each call; None when the target does not exist.

    Needs no more of the settings than target and region.
    """
    if settings.target == "lab":
        from chaosctl.lab.target import environment_of_lab

        return environment_of_lab(settings, emit)
    from chaosctl.cli import targets

    return targets.aws_environment(settings)


def _open_target(settings: Settings, emit: Emit, *, start: bool, heal: bool) -> Target | None:
    if settings.target == "lab":
        from chaosctl.lab.target import open_lab

        return open_lab(settings, emit, start=start, heal=heal)
    from chaosctl.cli import targets

    if settings.target == "aws":
        return targets.open_aws(settings, emit)
    return targets.open_kube_context(settings)


def remove_remains(settings: Settings, emit: Emit) -> bool:
    """Remove what is left on this machine of a target that does not exist (any more); False when nothing is."""
    from chaosctl.stages.kubeconfig import remove_entry

    removed = remove_entry(settings)
    if settings.target == "lab":
        from chaosctl.lab.target import remove_remains_of_lab

        removed = remove_remains_of_lab(settings, emit) or removed
    return removed


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
