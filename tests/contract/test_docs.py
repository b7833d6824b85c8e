"""Documentation that drifts from the program is a bug."""

import re
from pathlib import Path

from pydantic import BaseModel

from chaosctl.cli.main import COMMANDS
from chaosctl.config import Settings

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
