"""The composition root: settings become a target, a target becomes the context that stages work in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from chaosctl import places
from chaosctl.events import Emit
from chaosctl.findings import Check
from chaosctl.target import Target

if TYPE_CHECKING:
    from chaosctl.config import Settings
    from chaosctl.stages.stage import Context


def environment_dir(settings: Settings) -> Path:
    """Where the files of one deployment are: lock, kubeconfig, Terraform data."""
    return places.state_dir() / "environments" / settings.target / settings.environment


def open_context(settings: Settings, emit: Emit, *, start: bool, heal: bool = False) -> Context | None:
    """The context for these settings; None when the target does not exist and must not be started.

    With `heal`, a target that exists and was killed is started again.
    """
    from chaosctl.stages.stage import Context

    target = KINDS[settings.target].open(settings, emit, start=start, heal=heal)
    if target is None:
        return None
    workdir = environment_dir(settings)
    workdir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Context(settings, target, emit, _LazyToolbox(settings, emit), workdir)


def aws_environment(target: str, region: str, profile: str | None, emit: Emit) -> Mapping[str, str] | None:
    """Target.aws_env alone, which kubectl asks for at each call; None when the target does not exist."""
    return KINDS[target].aws_environment(region, profile, emit)


def remove_remains(settings: Settings, emit: Emit) -> bool:
    """Remove what is left on this machine of a target that does not exist (any more); False when nothing is."""
    from chaosctl.stages.kubeconfig import remove_entry

    removed = remove_entry(settings)
    return KINDS[settings.target].remove_remains(settings, emit) or removed


def own_checks(settings: Settings) -> tuple[Check, ...]:
    """What `doctor` can look at while the target does not exist: whether this machine could carry it."""
    return KINDS[settings.target].own_checks(settings)


class _Lab:
    """The lab on this machine. As in the other kinds, what it needs is imported when it is asked for."""

    def open(self, settings: Settings, emit: Emit, *, start: bool, heal: bool) -> Target | None:
        from chaosctl.lab.target import open_lab

        return open_lab(settings, emit, start=start, heal=heal)

    def aws_environment(self, region: str, profile: str | None, emit: Emit) -> Mapping[str, str] | None:
        from chaosctl.lab import layout
        from chaosctl.lab.endpoint import Endpoint

        endpoint = Endpoint(layout.default())
        return endpoint.environment(region) if endpoint.answers(emit) else None

    def remove_remains(self, settings: Settings, emit: Emit) -> bool:
        from chaosctl.lab.target import remove_remains_of_lab

        return remove_remains_of_lab(settings, emit)

    def own_checks(self, settings: Settings) -> tuple[Check, ...]:
        from chaosctl.lab.target import checks

        return checks(settings)


class _Elsewhere:
    """What exists without us: nothing to start, and nothing of it on this machine."""

    def __init__(self, find: Callable[[Settings, Emit], Target]) -> None:
        self._find = find

    def open(self, settings: Settings, emit: Emit, *, start: bool, heal: bool) -> Target | None:
        return self._find(settings, emit)

    def aws_environment(self, region: str, profile: str | None, emit: Emit) -> Mapping[str, str] | None:
        from chaosctl.adapters import aws

        return aws.environment(region, profile)

    def remove_remains(self, settings: Settings, emit: Emit) -> bool:
        return False

    def own_checks(self, settings: Settings) -> tuple[Check, ...]:
        return ()


def _open_aws(settings: Settings, emit: Emit) -> Target:
    from chaosctl.cli import targets

    return targets.open_aws(settings, emit)


def _open_kube_context(settings: Settings, _emit: Emit) -> Target:
    from chaosctl.cli import targets

    return targets.open_kube_context(settings)


KINDS: Mapping[str, _Lab | _Elsewhere] = {
    "lab": _Lab(),
    "aws": _Elsewhere(_open_aws),
    "context": _Elsewhere(_open_kube_context),
}


class _LazyToolbox:
    """Tools: nothing is looked for until a stage asks for a program."""

    def __init__(self, settings: Settings, emit: Emit) -> None:
        self._settings, self._emit = settings, emit
        self._found: dict[str, Path] = {}

    def __call__(self, *names: str) -> Mapping[str, Path]:
        missing = [name for name in names if name not in self._found]
        if missing:
            from chaosctl.toolbox import Toolbox

            toolbox = Toolbox(places.cache_dir(), self._settings.toolbox, self._emit)
            self._found.update(toolbox.ensure(*missing))
        return {name: self._found[name] for name in names}
