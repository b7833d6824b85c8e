from __future__ import annotations

import pytest

from chaosctl.chaos import runner
from chaosctl.chaos.faults import pod_kill


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits look more often; nothing is measured with these."""
    monkeypatch.setattr(runner, "GLANCE", 0.01)
    monkeypatch.setattr(pod_kill, "GLANCE", 0.01)
    monkeypatch.setattr(pod_kill, "EVICT_EVERY", 0.05)
