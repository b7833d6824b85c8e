"""The list of subcommands, and how they are found: a module is imported when its command is used, not before."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import Any

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError
from typer.core import TyperGroup

from chaosctl.cli.command import CONTEXT
from chaosctl.cli.invocation import Invocation
from chaosctl.errors import ExitStatus, UsageProblem

# name -> the line that `chaosctl --help` shows; each is the module chaosctl.cli.NAME
COMMANDS = {
    "up": "Deploy everything: infra, kubeconfig, controller, app, alarms, smoke.",
    "infra": "Make network, cluster, nodes and identities with Terraform.",
    "kubeconfig": "Let kubectl in, with an entry in the kubeconfig.",
    "controller": "Install the AWS Load Balancer Controller.",
    "autoscaler": "Let nodes come and go as pods need them, if the settings want that.",
    "app": "Install the app, until users reach every pod of it.",
    "alarms": "Watch the app with alarms and a dashboard.",
    "doctor": "What could stop a run: credentials, quotas, versions, locks, leftovers, this machine.",
    "plan": "What `up` would change, and what it costs.",
    "cost": "What a deployment costs a month, and what the money buys.",
    "smoke": "Is it serving, correctly and quickly enough?",
    "chaos": "Break it under live traffic: does it stay within its budget, and recover?",
    "status": "The page to open first: what exists, in which state, what users get.",
    "logs": "What the app's containers wrote, those that are gone too.",
    "top": "How the app is doing, by its metrics and alarms.",
    "url": "Where the app is.",
    "down": "Remove everything, and prove that nothing is left.",
    "lab": "The lab on this machine: start, stop, look at it.",
    "tools": "Where each program that is needed comes from.",
    "schema": "Print the JSON schema of what --json prints.",
    "completion": "Print what makes a shell complete the words of chaosctl.",
    "token": "Print a token for the cluster (kubectl runs this).",
    "version": "Print the version.",
}


class _Commands(MutableMapping[str, Any]):
    """The commands by name; looking one up imports it."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        if name not in self._loaded:
            self._loaded[name] = _load(name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _load(name: str) -> Any:
    module = importlib.import_module(f"chaosctl.cli.{name}")
    app = getattr(module, "app", None)
    if not isinstance(app, typer.Typer):
        app = typer.Typer(context_settings=CONTEXT)
        app.command(name, context_settings=CONTEXT)(getattr(module, name))
    app.rich_markup_mode = None  # rich's help costs 100 ms and wraps options into boxes
    app._add_completion = False
    command = typer.main.get_command(app)
    command.name = name
    return command


class LazyGroup(TyperGroup):
    """The top level."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.commands = _Commands()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table above, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    name="chaosctl",
    cls=LazyGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,  # `chaosctl completion` makes scripts that need no Python at Tab
    no_args_is_help=True,
    context_settings=CONTEXT,
    help="Deploy an unstable backend to EKS, break it on purpose, say honestly whether users noticed.",
    epilog="Each command takes --help. Without an AWS account everything happens in a lab on this machine.",
)


@app.callback()
def _chaosctl() -> None:
    """Options are given after the command: chaosctl up --target lab."""


def dispatch(said: Invocation) -> int:
    """Run the subcommand that the words name; its exit status. Raises UsageProblem for words that it does not know."""
    group: Any = typer.main.get_command(app)
    try:
        with group.make_context("chaosctl", list(said.words), obj=said) as context:
            group.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except NoArgsIsHelpError as help_wanted:
        help_wanted.show()
        return ExitStatus.USAGE
    except ClickException as mistake:
        raise _usage(mistake) from None
    except typer.Abort:  # Ctrl-C or Ctrl-D at a question
        raise KeyboardInterrupt from None
    return ExitStatus.OK


def _usage(mistake: Any) -> UsageProblem:
    path = mistake.ctx.command_path if getattr(mistake, "ctx", None) else "chaosctl"
    message = mistake.format_message().rstrip(".")
    return UsageProblem(message, code="USAGE", remedy=f"see `{path} --help`")
