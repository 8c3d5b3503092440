"""What every wire format yields: readings, and what could not become one."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from vigil.kernel.errors import FieldError, VigilError

SEVERITIES = ("info", "warning", "critical")


# Structs rather than dataclasses, and untracked by the garbage collector: a batch makes thousands of them.
class Reading(msgspec.Struct, frozen=True, gc=False):
    """One value of one series, checked."""

    name: str
    value: float
    tags: dict[str, str] = {}
    at: datetime | None = None
    """When it was measured, in UTC; None: when it arrived."""


class EventReading(msgspec.Struct, frozen=True):
    """Something that happened, checked."""

    name: str
    severity: str = "info"
    tags: dict[str, str] = {}
    payload: dict[str, object] = {}
    at: datetime | None = None
    """When it happened, in UTC; None: when it arrived."""
    once: str = ""
    """What tells it from every other event of its sender: sent again, it is not stored again. "": not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An item that is not stored."""

    index: int
    errors: tuple[FieldError, ...]
    """Paths are relative to the item, such as `tags.host`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a body held."""

    items: list[tuple[int, Reading | EventReading]]
    """Each with its place in the body, counted from 0."""
    rejected: list[Rejected]
    single: bool
    """The body was one object, not a batch."""
    skipped: int = 0
    """Values left out because they say that there is no value, such as NaN."""


class Unreadable(VigilError):
    """Nothing of the body can be used."""

    code = "malformed"
    status = 400
