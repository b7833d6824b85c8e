from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaosctl.chaos import events as e
from chaosctl.report.journal import NAME, encode
from chaosctl.report.runs import Told, read
from tests.unit.chaos.story import killed

Tell = Callable[..., Told]


@pytest.fixture
def told(tmp_path: Path) -> Tell:
    """Journals of given events, by default of a good run, read back."""

    def tell(events: list[e.ChaosEvent] | None = None, name: str = "20261123-120000") -> Told:
        path = tmp_path / name / NAME
        path.parent.mkdir(parents=True)
        path.write_bytes(b"".join(encode(event) for event in (killed().told() if events is None else events)))
        return read(path)

    return tell


@pytest.fixture
def good(told: Tell) -> Told:
    return told()


@pytest.fixture
def breached(told: Tell) -> Told:
    """Two seconds of 503s on both streams, and names that could do harm in a page."""
    events = killed().told({(20.0, 22.0): ("both", "status", 503)})
    return told([*events[:1], e.RepeatedBy(events[0].at, "chaosctl chaos --kill-pods '<script>'"), *events[1:]])
