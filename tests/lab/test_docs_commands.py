"""The commands that documents show are run on a lab, in their order: blocks that begin with ```console lab.

A line `$ command` may end with a comment, also with `# exit status N`. Of what is shown below it every line must be in
what the command really prints, in that order. Figures, times and the generated parts of names differ from run to run:
each stands for any other of its kind, `...` for anything.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.shown import DOCUMENTS, Shown, missing, shown
from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.usefixtures("deployed")]


@pytest.mark.parametrize("example", list(shown(DOCUMENTS)), ids=str)
def test_a_command_does_what_its_document_says(user: User, example: Shown) -> None:
    own = (str(Path(user.tools[tool]).parent) for tool in ("kubectl", "helm"))
    path = ":".join([*own, user.env["PATH"]])
    done = user.run("bash", "-c", example.command, status=example.status, timeout=900, PATH=path)
    printed = (done.stdout + done.stderr).splitlines()
    assert missing(example.output, printed) == [], done.stdout + done.stderr
