"""chaosctl completion: scripts that hold all words themselves, since starting Python at each Tab would be felt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.ui.render import Report


class Shell(StrEnum):
    """Those that have a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@dataclass(frozen=True)
class Place:
    """What may follow a command: `path` is its words, joined; words with their help."""

    path: str
    words: Mapping[str, str]


@dataclass(frozen=True)
class Values:
    """What may follow an option. Nothing: a file, or something that nobody can guess."""

    option: str
    choices: tuple[str, ...]


@command
def completion(
    session: Session, shell: Annotated[Shell, typer.Argument(help="Whose words: bash, zsh or fish.")]
) -> Report:
    """Print what makes a shell complete the words of chaosctl. It asks nothing at Tab, so renew it after an upgrade.

    bash: chaosctl completion bash > ~/.local/share/bash-completion/completions/chaosctl

    zsh: chaosctl completion zsh > "${fpath[1]}/_chaosctl"

    fish: chaosctl completion fish > ~/.config/fish/completions/chaosctl.fish
    """
    from chaosctl.cli.main import app

    known = list(places(typer.main.get_command(app)))
    values = [Values("--target", ("lab", "aws", "context")), Values("--fault", _faults())]
    script = {Shell.BASH: _bash, Shell.ZSH: _zsh, Shell.FISH: _fish}[shell](known, values)
    return Report({"shell": shell.value, "script": script}, (script,))


def _faults() -> tuple[str, ...]:
    from chaosctl.chaos.faults import SINGLE

    return tuple(SINGLE)


def places(group: Any, path: str = "") -> Iterator[Place]:
    """A command of Typer's and those below it."""
    commands = {name: group.commands[name] for name in getattr(group, "commands", ())}
    options = {
        name: str(param.help or "")
        for param in group.params
        if param.param_type_name == "option"
        for name in (*param.opts, *param.secondary_opts)
        if name.startswith("--")
    }
    words = {name: _first_line(each.help) for name, each in commands.items()}
    yield Place(path, {**words, **options, "--help": "Show this message and exit."})
    for name, each in commands.items():
        yield from places(each, f"{path} {name}".strip())


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _paths(places: list[Place]) -> str:
    """All paths but the empty one, as patterns of a `case`."""
    return "|".join(f'" {place.path}"' for place in places if place.path)


def _bash(places: list[Place], values: list[Values]) -> str:
    words = "\n".join(f"        {_quoted(p.path)}) words={_quoted(' '.join(p.words))} ;;" for p in places)
    after = "\n".join(
        f'        {v.option}) COMPREPLY=($(compgen -W {_quoted(" ".join(v.choices))} -- "$cur")); return ;;'
        for v in values
    )
    return f"""\
_chaosctl() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} here='' word words=''
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case " ${{here:+$here }}$word" in {_paths(places)}) here="${{here:+$here }}$word" ;; esac
    done
    case "${{COMP_WORDS[COMP_CWORD-1]}}" in
{after}
    esac
    case "$here" in
{words}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o bashdefault -o default -F _chaosctl chaosctl"""


def _zsh(places: list[Place], values: list[Values]) -> str:
    def described(place: Place) -> str:
        return " ".join(_quoted(f"{word}:{text}") for word, text in place.words.items())

    words = "\n".join(f"        {_quoted(p.path)}) known=({described(p)}) ;;" for p in places)
    after = "\n".join(f"        {v.option}) compadd -- {' '.join(v.choices)}; return ;;" for v in values)
    return f"""\
#compdef chaosctl
_chaosctl() {{
    local here='' word
    local -a known
    for word in ${{words[2,CURRENT-1]}}; do
        case " ${{here:+$here }}$word" in ({_paths(places)}) here="${{here:+$here }}$word" ;; esac
    done
    case $words[CURRENT-1] in
{after}
    esac
    case $here in
{words}
    esac
    _describe chaosctl known || _files
}}
if [ "$funcstack[1]" = _chaosctl ]; then _chaosctl "$@"; else compdef _chaosctl chaosctl; fi"""


def _fish(places: list[Place], values: list[Values]) -> str:
    known = " ".join(_fish_quoted(place.path) for place in places if place.path)
    choices = {v.option: v.choices for v in values}
    lines = []
    for place in places:
        here = f"complete -c chaosctl -n {_fish_quoted(f'__chaosctl_at {_fish_quoted(place.path)}')}"
        for word, text in place.words.items():
            if word.startswith("--"):
                taken = f" -x -a {_fish_quoted(' '.join(choices[word]))}" if word in choices else ""
                lines.append(f"{here} -l {word[2:]}{taken} -d {_fish_quoted(text)}")
            else:
                lines.append(f"{here} -f -a {word} -d {_fish_quoted(text)}")
    return "\n".join(
        [
            "function __chaosctl_at",
            "    set -l here ''",
            "    for word in (commandline -opc)[2..]",
            '        set -l deeper (string trim "$here $word")',
            f"        contains -- $deeper {known}; and set here $deeper",
            "    end",
            '    test "$here" = "$argv[1]"',
            "end",
            *lines,
        ]
    )


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
