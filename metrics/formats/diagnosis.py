"""The careful path: item by item, what is good is kept and everything wrong with the rest is said."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from metrics.formats import moments, payloads, text
from metrics.formats.documents import Doubled, Unusable
from metrics.formats.moments import Span
from metrics.formats.reading import SEVERITIES, Decoded, EventReading, Reading, Rejected
from vigil.kernel.errors import FieldError

ERRORS_MOST = 8
"""Errors said about one item; whoever fixes eight will try again."""

_METRIC_FIELDS = ("name", "value", "tags", "timestamp", "type")
_EVENT_FIELDS = ("type", "name", "severity", "tags", "payload", "timestamp")
_ABSENT = object()


def decoded(sent: Iterable[object], span: Span, *, single: bool) -> Decoded:
    """Every item of `sent`, as a reading or as a rejection."""
    items: list[tuple[int, Reading | EventReading]] = []
    rejected: list[Rejected] = []
    for index, item in enumerate(sent):
        errors = tuple(_errors(item, span))[:ERRORS_MOST]
        if errors:
            rejected.append(Rejected(index=index, errors=errors))
        elif isinstance(item, dict):
            items.append((index, _reading(item, span)))
    return Decoded(items=items, rejected=rejected, single=single)


def _errors(item: object, span: Span) -> Iterator[FieldError]:
    if not isinstance(item, dict):
        yield FieldError(path="", message='must be an object such as {"name": "cpu_usage", "value": 87.5}')
        return
    if isinstance(item, Doubled):
        yield FieldError(path=text.shown(item.key), message="stands twice; send each field once")
        return
    event = item.get("type", "metric") == "event"
    yield from _unknown(item, _EVENT_FIELDS if event else _METRIC_FIELDS)
    yield from _at("type", _type_flaw(item.get("type", "metric")))
    yield from _at("name", _name_flaw(item.get("name", _ABSENT)))
    if event:
        yield from _at("severity", _severity_flaw(item.get("severity", "info")))
        yield from _at("payload", _payload_flaw(item.get("payload", {})))
    else:
        yield from _at("value", _value_flaw(item.get("value", _ABSENT)))
    yield from _tag_errors(item.get("tags", {}))
    if "timestamp" in item:
        yield from _at("timestamp", _moment_flaw(item["timestamp"], span))


def _reading(item: dict[str, object], span: Span) -> Reading | EventReading:
    """What `_errors` found nothing wrong with."""
    sent = item.get("timestamp", _ABSENT)
    at: datetime | None = None if sent is _ABSENT else span.explained(sent)
    name, tags = str(item["name"]), {key: str(value) for key, value in _mapping(item.get("tags", {})).items()}
    if item.get("type") == "event":
        return EventReading(name, str(item.get("severity", "info")), tags, _mapping(item.get("payload", {})), at)
    return Reading(name, _float(item["value"]), tags, at)


def _at(path: str, flaw: str) -> Iterator[FieldError]:
    if flaw:
        yield FieldError(path=path, message=flaw)


def _unknown(item: dict[str, object], known: tuple[str, ...]) -> Iterator[FieldError]:
    for field in item:
        if field in known:
            continue
        if field in _EVENT_FIELDS:
            yield FieldError(path=field, message='only events have it; add "type": "event" or leave it out')
        else:
            yield FieldError(path=text.shown(field), message=f"is not a field; known are {', '.join(known)}")


def _type_flaw(value: object) -> str:
    return "" if value in ("metric", "event") else 'must be "metric" or "event"; leave it out for a metric'


def _name_flaw(value: object) -> str:
    return _text_flaw(value, text.name_flaw)


def _severity_flaw(value: object) -> str:
    return "" if isinstance(value, str) and value in SEVERITIES else f"must be one of {', '.join(SEVERITIES)}"


def _payload_flaw(value: object) -> str:
    return payloads.flaw(value) if isinstance(value, dict) else "must be an object"


def _value_flaw(value: object) -> str:
    if value is _ABSENT:
        return "is required"
    if isinstance(value, Unusable):
        return value.why
    if isinstance(value, bool):
        return "must be a number; send 1 or 0 for true or false"
    if isinstance(value, str):
        return "must be a number, not text; send it without quotes"
    return "" if isinstance(value, int | float) else "must be a number"


def _tag_errors(tags: object) -> Iterator[FieldError]:
    if isinstance(tags, Doubled):
        yield FieldError(path=f"tags.{text.shown(tags.key)}", message="stands twice; send each tag once")
    elif not isinstance(tags, dict):
        yield FieldError(path="tags", message='must be an object of texts such as {"host": "web-01"}')
    elif len(tags) > text.TAGS_MOST:
        yield FieldError(path="tags", message=f"has {len(tags)} tags; send at most {text.TAGS_MOST}")
    else:
        for key, value in tags.items():
            flaw = text.tag_key_flaw(key) or _text_flaw(value, text.tag_value_flaw)
            yield from _at(f"tags.{text.shown(key)}", flaw)


def _text_flaw(value: object, flaw: Callable[[str], str]) -> str:
    if value is _ABSENT:
        return "is required"
    return flaw(value) if isinstance(value, str) else "must be text"


def _moment_flaw(value: object, span: Span) -> str:
    if isinstance(value, Unusable):
        return value.why
    try:
        span.explained(value)
    except moments.NotAMoment as error:
        return str(error)
    return ""


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
