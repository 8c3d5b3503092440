"""Every test begins with nothing remembered, at the present moment."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from django.conf import LazySettings


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    """What one test's rolled-back database taught the process must not reach the next."""
    from tests.integration.policies import cast  # Django is ready only now

    cast.forget()
    yield
    cast.forget()


@pytest.fixture(autouse=True)
def _no_storm(settings: LazySettings) -> None:
    """What is counted by the database's clock must not hold tests that play an hour in a second."""
    settings.VIGIL_STORM_PROPOSALS = settings.VIGIL_GLOBAL_RATE_COUNT = 1_000


@pytest.fixture
def at(db: None) -> datetime:
    """The present: the database's clock dates actions, so tests count from now."""
    from vigil.kernel import clock  # Django is ready only now

    return clock.now()
