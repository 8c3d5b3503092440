from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django.conf import LazySettings

if TYPE_CHECKING:  # its models must not be read before Django is ready
    from tests.integration.hostile.door import Door


@pytest.fixture
def door(db: None, settings: LazySettings) -> "Iterator[Door]":
    """A caller who may do everything, so that nothing but the input can be what is refused."""
    from policies import book
    from tests.integration.hostile import door as doors
    from vigil.access import keys, scopes

    settings.VIGIL_REQUESTS_PER_MINUTE = 10**7
    book.forget()
    yield doors.of(*sorted(scopes.ALL))
    book.forget()
    keys.forget_cache()
