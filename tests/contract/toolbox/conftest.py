from collections.abc import Iterator

import pytest

from tests.contract.toolbox.mirror import Mirror, serving


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving() as running:
        yield running
