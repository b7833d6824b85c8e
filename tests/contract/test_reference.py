"""Every command and option that a document names exists, and docs/reference.md is what the program says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from chaosctl.cli import cost
from chaosctl.cli.main import app
from chaosctl.cli.reference import reference
from chaosctl.config import InfraSettings
from chaosctl.queries import costs, setups
from chaosctl.ui.render import report_text

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```.*?^```|^(?: {4}[^\n]*\n)+", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
CALL = re.compile(r"\bchaosctl((?: +[^\s`|)\"'<>;&,]+)+)")
WORD = re.compile(r"[a-z][a-z-]*")  # not COMMAND, not ...


def called(text: str) -> Iterator[list[str]]:
    """The words behind each `chaosctl` in what a document shows as code."""
    blocks = [m.group() for m in BLOCK.finditer(text)]
    spans = [" ".join(m.group(1).split()) for m in SPAN.finditer(BLOCK.sub("", text))]
    for code in [*blocks, *(span for span in spans if span.startswith("chaosctl "))]:
        for match in CALL.finditer(code):
            yield match.group(1).split()


def mistakes(words: list[str]) -> list[str]:
    """What the program does not know of these words."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while rest and getattr(command, "commands", None) and (found := dict(command.commands).get(rest[0])):
        command, rest = found, rest[1:]
    if getattr(command, "commands", None) and rest and WORD.fullmatch(rest[0]):
        return [f"no command chaosctl {' '.join(words)}"]
    known = {"--help", "-h"}.union(*(set(p.opts) | set(p.secondary_opts) for p in command.params))
    options = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    return [f"no option {option} of chaosctl {' '.join(words)}" for option in options if option not in known]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_options_in_documents_exist(document: Path) -> None:
    assert [m for words in called(document.read_text()) for m in mistakes(words)] == []


@pytest.mark.parametrize("words", ["remove", "down --force", "chaos run quick --nothing", "lab beginn"])
def test_what_does_not_exist_is_noticed(words: str) -> None:
    assert list(called(f"see `chaosctl {words}`\n")) == [words.split()]
    assert len(mistakes(words.split())) == 1


def test_the_documents_are_really_read() -> None:
    assert sum(len(list(called(document.read_text()))) for document in DOCUMENTS) > 80


def test_the_reference_is_what_the_program_says() -> None:
    assert (ROOT / "docs" / "reference.md").read_text() == reference(), "run `make reference`"


def test_the_bill_in_the_documents_is_the_one_that_cost_prints() -> None:
    shown = re.search(
        r"^\$ chaosctl cost\n(.*?)^```", (ROOT / "docs" / "cost.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert shown is not None
    prices = costs.load(None)
    bills = [setups.priced(setup, setups.Usage(), prices) for setup in setups.setups(InfraSettings())]
    assert shown[1].strip() in report_text(cost.report(bills, setups.Usage(), prices))


def headings(text: str) -> set[str]:
    """The anchors of a document, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", document.read_text()):
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        assert file.exists(), target
        assert not anchor or anchor in headings(file.read_text()), target


def entries() -> dict[str, str]:
    """What the runbook says, by heading; without the first, which is about all of them."""
    _, *parts = re.split(r"^## ", (ROOT / "docs" / "runbook.md").read_text(), flags=re.MULTILINE)
    told = {heading: text for heading, _, text in (part.partition("\n") for part in parts)}
    assert told.pop("Begin here")
    return told


@pytest.mark.parametrize("heading", entries())
def test_an_entry_of_the_runbook_says_what_is_seen_what_to_run_and_what_that_prints(heading: str) -> None:
    said = re.findall(r"^\*\*(Seen|Run|Prints|Do)\*\*", entries()[heading], re.MULTILINE)
    assert said == ["Seen", "Run", "Prints", "Do"]
    prints = entries()[heading].partition("**Prints**")[2].partition("**Do**")[0]
    assert "```" in prints or "the page of [" in prints


def test_every_line_of_the_runbook_that_uses_kubectl_or_helm_names_the_context() -> None:
    text = "".join(entries().values())
    spans = [" ".join(m.group(1).split()) for m in SPAN.finditer(BLOCK.sub("", text))]
    lines = [*spans, *(line for block in BLOCK.findall(text) for line in block.splitlines())]
    used = [line for line in lines if re.search(r"\b(kubectl|helm) ", line)]
    assert len(used) > 10
    context = r"kubectl --context chaotic-backend-cluster|helm --kube-context chaotic-backend-cluster|kubectl set image"
    assert [line for line in used if not re.search(context, line)] == []


def test_errors_in_the_runbook_are_those_of_the_program() -> None:
    shown = set(re.findall(r"^Error: .+ \[([A-Z-]+)\]$", "".join(entries().values()), re.MULTILINE))
    known = set(re.findall(r"^\| `([A-Z0-9-]+)` \|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE))
    assert shown and shown <= known


def test_the_runbook_has_an_entry_for_every_alarm() -> None:
    told = "".join(path.read_text() for path in (ROOT / "terraform").glob("**/*.tf"))
    alarms = set(re.findall(r'alarm_name\s+= "\$\{var.cluster_name\}/([a-z0-9-]+)"', told))
    rows = re.findall(r"^\| (`CLUSTER/.*?) \|", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert alarms <= set(re.findall(r"CLUSTER/([a-z0-9-]+)", " ".join(rows)))
