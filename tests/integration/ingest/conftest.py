from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # its models must not be read before Django is ready
    from tests.integration.ingest.sender import Sender


@pytest.fixture
def sender(db: None) -> "Iterator[Sender]":
    """Whoever sends readings, with a key for that alone."""
    from policies import book
    from tests.integration.ingest import sender as senders
    from vigil.access import keys

    book.forget()
    yield senders.of()
    book.forget()
    keys.forget_cache()
