"""What all subcommands have in common: their shared options, and that they return a Report which is printed once.

@command
def url(session: Session, wait: Annotated[bool, typer.Option(help="...")] = False) -> Report:
    ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from chaosctl.cli.invocation import Invocation
from chaosctl.errors import UsageProblem

CALLED = "called"  # the parameter by which typer tells how it was called
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@dataclass(frozen=True)
class Common:
    """The options that every subcommand has."""

    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings file instead of ./chaosctl.toml.")
    ] = None
    target: Annotated[
        str | None, typer.Option("--target", metavar="TARGET", help="Where to act: lab (default), aws or context.")
    ] = None
    environment: Annotated[
        str | None, typer.Option("--environment", "--env", metavar="NAME", help="Which deployment of several.")
    ] = None
    region: Annotated[str | None, typer.Option("--region", metavar="REGION", help="AWS region.")] = None
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; -vv even more.")] = 0


def command(function: Callable[..., Any]) -> Callable[..., None]:
    """Make a subcommand of `function(session, **options) -> Report | None`; its docstring is the help text."""
    own = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    common_hints = get_type_hints(Common, include_extras=True)

    def run(**options: Any) -> None:
        called = options.pop(CALLED)
        if called.invoked_subcommand is not None:  # a group that is a command itself
            _refuse_options(called, options)
            return
        from chaosctl.cli.session import Session

        common = Common(**{f.name: options.pop(f.name) for f in fields(Common)})
        said: Invocation = called.find_root().obj
        said.command, said.json = called.command_path.partition(" ")[2], common.json
        Session(said, common).run(function, options)

    parameters = [
        p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for p in list(own.parameters.values())[1:]
    ] + [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=common_hints[f.name])
        for f in fields(Common)
    ]
    parameters.append(inspect.Parameter(CALLED, inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context))
    run.__name__, run.__doc__, run.__module__ = function.__name__, function.__doc__, function.__module__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _refuse_options(called: typer.Context, options: Iterable[str]) -> None:
    """Options stand after the subcommand; before it they would mean nothing."""
    sources = {name: called.get_parameter_source(name) for name in options}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        raise UsageProblem(
            f"options stand before `{called.invoked_subcommand}`",
            code="USAGE",
            why=", ".join(given),
            remedy=f"put them after it: chaosctl {called.info_name} {called.invoked_subcommand} ...",
        )
