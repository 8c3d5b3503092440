from collections.abc import Iterator

import pytest

from tests.unit.simulator import fake_vigil


@pytest.fixture
def vigil_server() -> Iterator[fake_vigil.Server]:
    with fake_vigil.running() as server:
        yield server
