"""What the tests of this folder share: one moment and short ways to store."""

from datetime import UTC, datetime, timedelta

from metrics import ingest
from metrics.formats.reading import EventReading, Reading
from metrics.ingest import StoredEvent, StoredSample

NOON = datetime(2026, 1, 19, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    """A moment before noon."""
    return NOON - timedelta(seconds=seconds)


def sample(value: float = 1.0, *, name: str = "cpu_usage", host: str = "web-1", at: datetime = NOON) -> StoredSample:
    """One stored reading, received when it was measured."""
    stored = ingest.store(readings=[Reading(name, value, {"host": host}, at)], at=at)
    return stored.samples[0]


def event(name: str = "deploy_failed", *, host: str = "web-1", at: datetime = NOON) -> StoredEvent:
    """One stored event."""
    return ingest.store(
        readings=[EventReading(name, "critical", {"host": host}, {"commit": "ab12"}, at)], at=at
    ).events[0]
