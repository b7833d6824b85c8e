"""The commands that documents show are run on a lab, in their order: blocks that begin with ```console lab.

A line `$ command` may end with a comment, also with `# exit status N`. Of what is shown below it, every line without a
figure must be in what the command really prints; figures, names and addresses differ from run to run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.usefixtures("deployed")]
ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```console lab\n(.*?)^```", re.MULTILINE | re.DOTALL)
STATUS = re.compile(r"\s+# exit status (\d+)$")


@dataclass(frozen=True)
class Shown:
    """A command as a document shows it, with the exit status and the output that it claims."""

    document: str
    command: str
    status: int
    output: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}: {self.command}"


def shown() -> Iterator[Shown]:
    """All of them."""
    for document in DOCUMENTS:
        for block in BLOCK.findall(document.read_text()):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, *output = part.splitlines()
                status = STATUS.search(command)
                words = re.sub(r"\s+# .*", "", command)
                yield Shown(document.name, words, int(status[1]) if status else 0, tuple(filter(str.strip, output)))


def steady(line: str) -> bool:
    """Whether a line is the same in every run."""
    return not re.search(r"\d|\.\.\.", line)


def collapsed(text: str) -> str:
    return " ".join(text.split())


SHOWN = list(shown())


@pytest.mark.parametrize("example", SHOWN, ids=str)
def test_a_command_does_what_its_document_says(user: User, example: Shown) -> None:
    path = f"{Path(user.tools['kubectl']).parent}:{user.env['PATH']}"
    done = user.run("bash", "-c", example.command, status=example.status, timeout=900, PATH=path)
    printed = [collapsed(line) for line in (done.stdout + done.stderr).splitlines()]
    missing = [line for line in example.output if steady(line) and collapsed(line) not in printed]
    assert missing == [], done.stdout + done.stderr
