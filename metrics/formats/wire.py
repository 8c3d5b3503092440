"""The good path: a whole batch in one typed decode. It answers None for anything it is not sure of, never why."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from metrics.formats import documents, payloads, text
from metrics.formats.moments import Span
from metrics.formats.reading import EventReading, Reading

_ZONED = Annotated[datetime, Meta(tz=True)]


class Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A metric or an event as it is sent."""

    name: str
    value: float | UnsetType = UNSET
    tags: Annotated[dict[str, str], Meta(max_length=text.TAGS_MOST)] = {}
    timestamp: _ZONED | float | UnsetType = UNSET
    type: Literal["metric", "event"] = "metric"
    severity: Literal["info", "warning", "critical"] | UnsetType = UNSET
    payload: dict[str, object] | UnsetType = UNSET


class Wrapper(msgspec.Struct, forbid_unknown_fields=True):
    """Many of them, wrapped up."""

    metrics: list[Line]


_one = msgspec.json.Decoder(Line)
_many = msgspec.json.Decoder(list[Line])
_wrapped = msgspec.json.Decoder(Wrapper)
_NOT_STRAIGHT = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def one_or_many(body: bytes, *, find_double_keys: bool) -> tuple[list[Line], bool] | None:
    """The lines of a JSON body and whether it was a single object; None: it takes a closer look."""
    try:
        if body.lstrip()[:1] == b"[":
            sent, single = _many.decode(body), False
        else:
            sent, single = (
                ([_one.decode(body)], True) if b'"metrics"' not in body else (_wrapped.decode(body).metrics, False)
            )
    except _NOT_STRAIGHT:
        return None
    return (sent, single) if _trustworthy(body, find_double_keys=find_double_keys) else None


def lines(bodies: Sequence[bytes], *, find_double_keys: bool) -> list[Line] | None:
    """The lines of an NDJSON body; None: it takes a closer look."""
    try:
        sent = [_one.decode(body) for body in bodies]
    except _NOT_STRAIGHT:
        return None
    return sent if all(_trustworthy(body, find_double_keys=find_double_keys) for body in bodies) else None


def readings(sent: Sequence[Line], span: Span) -> list[tuple[int, Reading | EventReading]] | None:
    """All of `sent` as readings; None when one of them is not quite right."""
    items: list[tuple[int, Reading | EventReading]] = []
    for index, line in enumerate(sent):
        reading = _reading(line, span)
        if reading is None:
            return None
        items.append((index, reading))
    return items


def _reading(line: Line, span: Span) -> Reading | EventReading | None:
    at = None if line.timestamp is UNSET else span.moment(line.timestamp)
    if (at is None and line.timestamp is not UNSET) or text.name_flaw(line.name) or not _clean(line.tags):
        return None
    if line.type == "event":
        return _event(line, at)
    if line.value is UNSET or line.severity is not UNSET or line.payload is not UNSET:
        return None
    return Reading(line.name, line.value, line.tags, at)


def _event(line: Line, at: datetime | None) -> EventReading | None:
    payload = {} if line.payload is UNSET else line.payload
    if line.value is not UNSET or payloads.flaw(payload):
        return None
    return EventReading(line.name, "info" if line.severity is UNSET else line.severity, line.tags, payload, at)


def _clean(tags: dict[str, str]) -> bool:
    # A plain loop: any() over a generator takes half as long again, for every reading there is.
    for key, value in tags.items():  # noqa: SIM110
        if text.tag_key_flaw(key) or text.tag_value_flaw(value):
            return False
    return True


def _trustworthy(body: bytes, *, find_double_keys: bool) -> bool:
    """Neither of the two things that a typed decode lets pass: very long numbers and double keys."""
    if documents.may_hold_long_number(body):
        return False
    return not (find_double_keys and documents.holds_double_key(body))
