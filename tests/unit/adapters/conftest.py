from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.adapters.kube import Kube
from tests.unit.adapters.api_server import ApiServer, api_server


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[ApiServer, Kube]]:
    with api_server(tmp_path) as both:
        yield both
