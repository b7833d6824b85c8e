from __future__ import annotations

from typing import get_args

from chaosctl.cli.compose import KINDS
from chaosctl.config import Settings


def test_every_target_that_can_be_set_can_be_opened() -> None:
    assert set(KINDS) == set(get_args(Settings.model_fields["target"].annotation))
