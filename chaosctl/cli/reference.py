"""docs/reference.md, made from the program itself: `make reference`, which runs python -m chaosctl.cli.reference."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import typer.main

from chaosctl.cli.command import Common
from chaosctl.cli.main import app

HEAD = """\
# Reference

Every command and option, written by `make reference` from the program itself; a test compares. Settings are explained
in [configuration](configuration.md), exit statuses in [exit statuses](exit-statuses.md).

Options are given after the command. All commands but {others} also take:
"""
COMMON = {f.name for f in fields(Common)}


def reference() -> str:
    """The page."""
    commands: Mapping[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    common = [p for p in commands["up"].params if p.name in COMMON]
    sections = [section for name, command in commands.items() for section in _sections(f"chaosctl {name}", command)]
    others = [f"`{name}`" for name, command in commands.items() if not {p.name for p in command.params} >= COMMON]
    return "\n".join([HEAD.format(others=" and ".join(others)), *_table(common), "", *sections])


def _sections(name: str, command: Any) -> Iterator[str]:
    """The section of a command, and of those below it."""
    own = [p for p in command.params if p.name not in COMMON and p.name != "help"]
    below = dict(getattr(command, "commands", {}))
    arguments = [p.metavar or p.name.upper() for p in own if p.param_type_name == "argument"]
    usage = " ".join([name, *(["[OPTIONS]"] if command.params else []), *arguments])
    yield f"## {name}\n\n    {usage}\n\n{_prose(command.help)}"
    if own:
        yield "\n".join(["", *_table(own)])
    yield ""
    for word, each in below.items():
        yield from _sections(f"{name} {word}", each)


def _prose(text: str | None) -> str:
    """The help text, a paragraph to a line."""
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def _table(parameters: list[Any]) -> list[str]:
    rows = [f"| `{_names(p)}` | {_meaning(p)} |" for p in parameters]
    return ["| option | meaning |", "|---|---|", *rows]


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return names if _is_switch(parameter) else f"{names} {parameter.metavar or 'VALUE'}"


def _meaning(parameter: Any) -> str:
    told = (parameter.help or "").replace("|", "\\|")
    default = parameter.default
    return f"{told} Default: {default:g}." if isinstance(default, float) else told


def _is_switch(parameter: Any) -> bool:
    return bool(parameter.is_flag or parameter.count)


if __name__ == "__main__":
    sys.stdout.write(reference())
