"""Commands as documents show them, in blocks that begin with ```console lab, and what they are to print."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```console lab\n(.*?)^```", re.MULTILINE | re.DOTALL)
STATUS = re.compile(r"\s+# exit status (\d+)$")

# What differs from run to run: how it is told, and what may stand there instead. The first kind that fits counts.
KINDS = {
    "anything": (r"\.\.\.", r".*"),
    "uid": (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "pod": (r"(?<=-)[0-9a-f]{8,10}-[a-z0-9]{5}\b", r"[0-9a-f]{8,10}-[a-z0-9]{5}"),
    "id": (r"(?<=-)(?=[a-f]*\d)[0-9a-f]{8,17}\b", r"[0-9a-f]{8,17}"),
    "figure": (r"(?<![A-Za-z])\d+(?:\.\d+)*", r"\d+(?:\.\d+)*"),
}
DIFFERS = re.compile("|".join(f"(?P<{kind}>{told})" for kind, (told, _) in KINDS.items()))


@dataclass(frozen=True)
class Shown:
    """A command as a document shows it, with the exit status and the output that it claims."""

    document: str
    command: str
    status: int
    output: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}: {self.command}"


def shown(documents: Sequence[Path]) -> Iterator[Shown]:
    """All of them, in their order."""
    for document in documents:
        for block in BLOCK.findall(document.read_text()):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, *output = part.splitlines()
                status = STATUS.search(command)
                words = re.sub(r"\s+# .*", "", command)
                yield Shown(document.name, words, int(status[1]) if status else 0, tuple(filter(str.strip, output)))


def missing(claimed: Sequence[str], printed: Sequence[str]) -> list[str]:
    """The claimed lines that are not printed, each after the one before it; blanks between words do not count."""
    lost, left = [], [collapsed(line) for line in printed]
    for line in claimed:
        found = next((number for number, said in enumerate(left) if pattern(line).fullmatch(said)), None)
        if found is None:
            lost.append(line)
        else:
            left = left[found + 1 :]
    return lost


def pattern(line: str) -> re.Pattern[str]:
    """What fits a line as it is shown: the same words, and any figures, times and ids of the same kind."""
    text, made, end = collapsed(line), "", 0
    for differs in DIFFERS.finditer(text):
        made += re.escape(text[end : differs.start()]) + KINDS[str(differs.lastgroup)][1]
        end = differs.end()
    return re.compile(made + re.escape(text[end:]))


def collapsed(text: str) -> str:
    """With one blank wherever there are some."""
    return " ".join(text.split())
