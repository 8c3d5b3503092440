"""Vigil's own format: one reading, an array, {"metrics": [...]} or a line each, straight from the bytes."""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from metrics.formats import diagnosis, documents, moments, text, wire
from metrics.formats.documents import Doubled
from metrics.formats.moments import Span
from metrics.formats.reading import Decoded, Unreadable
from vigil.kernel.errors import FieldError

JSON = "application/json"
LINES = ("application/x-ndjson", "application/ndjson")
_NOTHING = 'The body holds no reading; send an object such as {"name": "cpu_usage", "value": 87.5}.'


def decode(
    body: bytes,
    *,
    content_type: str,
    received_at: datetime,
    max_items: int,
    retention: timedelta | None = None,
    future_tolerance: timedelta = timedelta(seconds=60),
) -> Decoded:
    """The readings in `body`: valid ones and, apart from them, each refused one with everything wrong with it.

    Raises Unreadable when the body as a whole is unusable (400, 413, 415).
    """
    span = moments.span(received_at=received_at, retention=retention, future_tolerance=future_tolerance)
    if _kind(content_type) == "lines":
        return _lines(body, span, max_items)
    return _document(body, span, max_items)


def _kind(content_type: str) -> Literal["json", "lines"]:
    """Whether lines or one document follow; Unreadable (415) for a type or charset that is not taken."""
    media, *parameters = (part.strip().lower() for part in content_type.split(";"))
    for parameter in parameters:
        if parameter.startswith("charset=") and parameter[8:].strip('"') not in ("utf-8", "utf8"):
            raise _unsupported(f"The charset {parameter[8:28]!r} is not taken; send UTF-8.")
    if media == JSON:
        return "json"
    if media in LINES:
        return "lines"
    raise _unsupported(f"Send readings with Content-Type {JSON}, or {LINES[0]} for one reading a line.")


def _document(body: bytes, span: Span, max_items: int) -> Decoded:
    small = len(body) <= documents.DOUBLE_KEYS_UP_TO_BYTES
    straight = wire.one_or_many(body, find_double_keys=small)
    if straight is not None:
        sent, single = straight
        _refuse_count(len(sent), max_items)
        items = wire.readings(sent, span)
        if items is not None:
            return Decoded(items=items, rejected=[], single=single)
    return _closely(documents.read(body, find_double_keys=small), span, max_items)


def _lines(body: bytes, span: Span, max_items: int) -> Decoded:
    # One more than allowed is enough to refuse, however many more there are.
    rows = list(itertools.islice((row for row in body.split(b"\n") if row.strip()), max_items + 1))
    _refuse_count(len(rows), max_items)
    small = len(body) <= documents.DOUBLE_KEYS_UP_TO_BYTES
    straight = wire.lines(rows, find_double_keys=small)
    items = None if straight is None else wire.readings(straight, span)
    if items is not None:
        return Decoded(items=items, rejected=[], single=False)
    sent = [_line(row, index, find_double_keys=small) for index, row in enumerate(rows)]
    return diagnosis.decoded(sent, span, single=False)


def _line(row: bytes, index: int, *, find_double_keys: bool) -> object:
    try:
        return documents.read(row, find_double_keys=find_double_keys)
    except Unreadable as error:
        place = FieldError(path=f"[{index}]", message=error.detail)
        raise Unreadable(f"Reading {index} of the lines: {error.detail}", code=error.code, errors=[place]) from None


def _closely(document: object, span: Span, max_items: int) -> Decoded:
    if isinstance(document, list):
        return _batch(document, span, max_items)
    if not isinstance(document, dict):
        raise Unreadable(_NOTHING)
    if "metrics" not in document:
        return diagnosis.decoded([document], span, single=True)
    return _batch(_unwrapped(document), span, max_items)


def _batch(sent: Sequence[object], span: Span, max_items: int) -> Decoded:
    _refuse_count(len(sent), max_items)
    return diagnosis.decoded(sent, span, single=False)


def _unwrapped(document: dict[str, object]) -> list[object]:
    sent = document["metrics"]
    if isinstance(document, Doubled):
        raise _invalid("metrics", "stands twice; send one list")
    if not isinstance(sent, list):
        raise _invalid("metrics", "must be a list of readings")
    if len(document) > 1:
        beside = next(key for key in document if key != "metrics")
        raise _invalid(text.shown(beside), "is not a field; nothing but metrics stands in a batch")
    return sent


def _refuse_count(count: int, most: int) -> None:
    if count == 0:
        raise Unreadable(_NOTHING)
    if count > most:
        raise Unreadable(f"Too many readings in one request: send at most {most}.", code="too_many", status=413)


def _invalid(path: str, message: str) -> Unreadable:
    error = FieldError(path=path, message=message)
    return Unreadable(f"{path} {message}.", code="invalid", status=422, errors=[error])


def _unsupported(detail: str) -> Unreadable:
    return Unreadable(detail, code="unsupported_media_type", status=415)
