"""What a stage is, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from chaosctl.adapters.aws import Aws
from chaosctl.config import Settings
from chaosctl.events import Emit
from chaosctl.once import once
from chaosctl.target import Target

KUBECONFIG, TOKEN = "kubeconfig", "token"  # in Context.workdir


class Tools(Protocol):
    """Yields programs by name; the first call for a name may download or build it (Toolbox.ensure)."""

    def __call__(self, *names: str) -> Mapping[str, Path]:
        """The path of each program."""


@dataclass(frozen=True)
class Context:
    """Everything that a stage may use.

    ensure_tools  programs, on demand
    workdir       the directory of this environment, private (0700): kubeconfig, Terraform data, smoke results
    """

    settings: Settings
    target: Target
    emit: Emit
    ensure_tools: Tools
    workdir: Path

    @once
    def aws(self) -> Aws:
        """The AWS API. One for all stages: each new client reads the description of its service again."""
        return Aws(self.target.aws_env, self.target.region)

    def tool(self, name: str) -> Path:
        """The program `name` (helm, kubectl, terraform)."""
        return self.ensure_tools(name)[name]

    @property
    def kubeconfig(self) -> Path:
        """The program's own kubeconfig, independent of the user's; written by the kubeconfig stage."""
        return self.workdir / KUBECONFIG

    @property
    def token(self) -> Path:
        """The token that this kubeconfig names, renewed by whoever uses it."""
        return self.workdir / TOKEN


@dataclass(frozen=True)
class StageResult:
    """How a stage ended. `changed` is False when there was nothing to do; `details` is plain data for --json.

    `seconds` that it took are filled in by whoever ran it.
    """

    changed: bool
    summary: str
    details: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Stage(Protocol):
    """One step of `up`, and a subcommand of its own. Can be run again at any time."""

    @property
    def name(self) -> str:
        """One word: the subcommand."""

    def describe(self) -> str:
        """What it is going to do, one line."""

    def run(self, context: Context) -> StageResult:
        """Reach the goal or raise a ChaosctlError that says why not."""
