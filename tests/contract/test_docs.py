"""Documentation that drifts from the program is a bug."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from chaosctl.cli.main import COMMANDS
from chaosctl.config import Settings
from tests.lab.shown import DOCUMENTS, missing, shown

DOCS = Path(__file__).parents[2] / "docs"


def keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= keys(kind, f"{prefix}{name}.")
        else:
            found.add(prefix + name)
    return found


def test_every_setting_is_documented_and_none_besides() -> None:
    documented = set(re.findall(r"^\| `([a-z_.]+)` \|", (DOCS / "configuration.md").read_text(), re.MULTILINE))
    assert documented == keys(Settings)


def test_the_readme_lists_the_commands_as_the_program_does() -> None:
    readme = (DOCS.parent / "README.md").read_text()
    shown = re.findall(r"^      ([a-z]+)  +[A-Z]", readme[readme.index("$ chaosctl --help") :], re.MULTILINE)
    assert shown == list(COMMANDS)


@pytest.mark.parametrize(
    ("claimed", "printed", "fits"),
    [
        ("OK: everything is there", "OK: everything is there", True),
        ("OK: everything is there", "TROUBLE: a node is not ready", False),
        ("NAT gateway  32.850  1: 32.85", "NAT gateway 33.1 2: 66.2", True),
        ("NAT gateway  32.850  1: 32.85", "NAT gateway unknown 1: 0.00", False),
        ("app-5475f97498-bggfv  ready  0", "app-66d97bf9c4-x7k2p  ready  12", True),
        ("app-5475f97498-bggfv  ready  0", "app-66d97bf9c4-x7k2p  not ready  12", False),
        ("http://k8s-app-d312c74efb-6016781707.elb", "http://k8s-app-0c9d8e7f6a-1234567890.elb", True),
        ("node t3.medium  2: 60.74", "node t4.medium  2: 60.74", False),
        ("image: Pod web: ImagePullBackOff: ...", "image: Pod web: ImagePullBackOff: no such host", True),
        ("GET /probe/data: 200 in 17 ms", "GET /probe/data: status 503", False),
    ],
)
def test_a_line_with_figures_is_compared_but_for_the_figures(claimed: str, printed: str, fits: bool) -> None:
    assert missing([claimed], ["before", printed]) == ([] if fits else [claimed])


def test_lines_of_an_output_are_found_in_their_order() -> None:
    assert missing(["a 1", "b 2"], ["a 7", "x", "b 8"]) == []
    assert missing(["b 2", "a 1"], ["a 7", "x", "b 8"]) == ["a 1"]


def test_many_commands_of_the_documents_are_run_on_a_lab() -> None:
    examples = list(shown(DOCUMENTS))
    assert len(examples) > 30
    assert {"chaos.md", "cost.md", "logs.md", "runbook.md"} <= {example.document for example in examples}
