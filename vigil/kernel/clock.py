"""The one place that reads the clock."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC. Ask at the door and pass the answer down as `at`."""
    return datetime.now(UTC)  # noqa: TID251  the one allowed place
