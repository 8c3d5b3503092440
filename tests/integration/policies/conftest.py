"""Every test begins with nothing remembered, at the present moment."""

from collections.abc import Iterator
from datetime import datetime

import pytest


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    """What one test's rolled-back database taught the process must not reach the next."""
    from tests.integration.policies import cast  # Django is ready only now

    cast.forget()
    yield
    cast.forget()


@pytest.fixture
def at(db: None) -> datetime:
    """The present: the database's clock dates actions, so tests count from now."""
    from vigil.kernel import clock  # Django is ready only now

    return clock.now()
