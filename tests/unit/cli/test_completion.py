from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from chaosctl import __main__ as program
from chaosctl.cli.main import COMMANDS

DRIVERS = {
    "bash": 'source {file}; COMP_WORDS=({words} "{last}"); COMP_CWORD={count}; _chaosctl; echo "${{COMPREPLY[@]}}"',
    "fish": "source {file}; complete -C '{line}' | string replace -r '\\t.*' ''",
}
SHELLS = [shell for shell in DRIVERS if shutil.which(shell)]  # everybody who runs the tests has bash


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("completion")


@pytest.fixture
def script(scripts: Path, shell: str, capsys: pytest.CaptureFixture[str]) -> Path:
    file = scripts / shell
    if not file.exists():
        assert program.run(["completion", shell]) == 0
        file.write_text(capsys.readouterr().out)
    return file


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("chaosctl sm", {"smoke"}),
        ("chaosctl ", {"--help", *COMMANDS}),
        ("chaosctl lab st", {"start", "stop", "status"}),
        ("chaosctl chaos run --se", {"--seed", "--selector"}),
        ("chaosctl chaos --kill-pods --dry", {"--dry-run"}),
        ("chaosctl up --target ", {"lab", "aws", "context"}),
        ("chaosctl chaos --fault coredns", {"coredns-kill"}),
        ("chaosctl doctor --drift", set()),
    ],
)
def test_tab(script: Path, shell: str, line: str, offered: set[str]) -> None:
    *words, last = line.split(" ")
    code = DRIVERS[shell].format(file=script, words=" ".join(words), last=last, count=len(words), line=line)
    options = {"bash": ["--norc", "--noprofile"], "fish": ["--no-config"]}[shell]
    done = subprocess.run([shell, *options, "-c", code], capture_output=True, text=True, timeout=30)
    found = set(done.stdout.split())
    assert found - {"--help"} == offered - {"--help"}


def test_zsh_gets_every_command_with_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert script.startswith("#compdef chaosctl\n")
    assert [name for name in COMMANDS if f"'{name}:" not in script] == []
