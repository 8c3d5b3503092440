"""What the tests of this folder share: one moment, and the native decoder with its usual bounds."""

import json
from datetime import UTC, datetime, timedelta

from metrics.formats import native
from metrics.formats.reading import Decoded, EventReading, Reading
from vigil.kernel.errors import FieldError

NOON = datetime(2026, 1, 19, 12, 0, tzinfo=UTC)
JSON = "application/json"
NDJSON = "application/x-ndjson"


def decode(body: bytes | object, *, content_type: str = JSON, max_items: int = 5_000) -> Decoded:
    """Decode bytes, or anything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return native.decode(
        raw, content_type=content_type, received_at=NOON, max_items=max_items, retention=timedelta(days=14)
    )


def only(decoded: Decoded) -> Reading | EventReading:
    """The one thing that was accepted."""
    assert decoded.rejected == []
    ((_, item),) = decoded.items
    return item


def errors_of(body: bytes | object) -> tuple[FieldError, ...]:
    """What is said about the one item that is refused."""
    decoded = decode(body)
    assert decoded.items == []
    (rejected,) = decoded.rejected
    return rejected.errors
