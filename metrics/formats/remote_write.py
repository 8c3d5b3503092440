"""Prometheus remote write 1.0 and 2.0: a snappy block that holds a protocol buffer of series and their samples.

https://prometheus.io/docs/specs/prw/remote_write_spec/ and .../remote_write_spec_2_0/. What a sender repeats with every
request, the labels, is understood once and then known by its bytes (1.0) or by its references (2.0).
"""

import struct
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from itertools import batched, islice

from metrics.formats import packing, protobuf
from metrics.formats.gathering import Gathering, Identity, identity
from metrics.formats.moments import Span
from metrics.formats.protobuf import BYTES, FIXED64, VARINT
from metrics.formats.reading import Decoded, Unreadable
from vigil.kernel.errors import FieldError

CONTENT_TYPE = "application/x-protobuf"
LABELS_MOST = 64
REFERENCES_MOST = 2 * LABELS_MOST
LABELS_REMEMBERED_BYTES = 4_096
SERIES_MOST = 100_000
"""Also of such that have no sample, which would be no end of work for no value."""
SYMBOLS_MOST = 200_000
_NAME = "__name__"

_SAMPLE = struct.Struct("<BdBIH")
_LABEL_KEY, _VALUE_KEY, _TIME_KEY = 0x0A, 0x09, 0x10
_MORE, _LAST_BYTE_MOST = 0x8080_8080, 0x7F


class Version(Enum):
    """Which message a body holds."""

    ONE = "prometheus.WriteRequest"
    TWO = "io.prometheus.write.v2.Request"


def version(*, content_type: str, encoding: str) -> Version:
    """What the headers announce; Unreadable (415) for anything but snappy of one of the two messages."""
    if encoding.strip().lower() not in ("", "snappy"):
        raise _unsupported(f"The Content-Encoding {encoding[:20]!r} is not taken; send snappy (the block format).")
    media, *parameters = (part.strip() for part in content_type.split(";"))
    if media.lower() != CONTENT_TYPE:
        raise _unsupported(f"Send Content-Type: {CONTENT_TYPE}.")
    message = next((part[6:].strip('"') for part in parameters if part.lower().startswith("proto=")), "")
    if message == "":
        return Version.ONE
    try:
        return Version(message)
    except ValueError:
        known = " or ".join(one.value for one in Version)
        raise _unsupported(f"The message {message[:60]!r} is not taken; send {known}.") from None


def decode(body: bytes, *, form: Version, span: Span, max_items: int, max_bytes: int) -> Decoded:
    """The samples in `body`, in order. Stale markers, other NaN and infinities are skipped: they are no data.

    Metadata, exemplars and native histograms are left out. Raises Unreadable (400, 413).
    """
    message = packing.unsnapped(body, most=max_bytes)
    gathered = Gathering(span, max_items=max_items)
    if form is Version.ONE:
        _one(message, gathered)
    else:
        _two(message, gathered)
    return gathered.decoded()


def _one(message: bytes, gathered: Gathering) -> None:
    count = 0
    for number, kind, start, end in protobuf.fields(message, 0, len(message)):
        if number == 1 and kind == BYTES:
            count += 1
            _refuse_count("series", count, SERIES_MOST)
            _series_one(message, start, end, gathered)


def _series_one(message: bytes, start: int, end: int, gathered: Gathering) -> None:
    after = _labels_end(message, start, end)
    apart: list[bytes] = []
    samples: list[tuple[int, int]] = []
    for number, kind, first, last in protobuf.fields(message, after, end):
        if number == 2 and kind == BYTES:
            samples.append((first, last))
            gathered.expect(len(samples))
        elif number == 1 and kind == BYTES and len(apart) <= LABELS_MOST:
            apart.append(message[first:last])  # a long one, or one behind a sample: as good as the others
    labels = message[start:after]
    if apart:
        labels += b"".join(protobuf.field(1, label) for label in apart)
    _gather(message, samples, _identity_one(labels), gathered)


def _labels_end(message: bytes, start: int, end: int) -> int:
    """Where the labels end that stand at the beginning and are as short as most are: one byte tells their length."""
    place = start
    while place + 1 < end and message[place] == _LABEL_KEY and message[place + 1] < 0x80:
        place += 2 + message[place + 1]
    if place > end:
        raise protobuf.Broken
    return place


def _identity_one(labels: bytes) -> Identity:
    # What is unusually long is understood each time, so that what is remembered stays small.
    return _remembered(labels) if len(labels) <= LABELS_REMEMBERED_BYTES else _understood(labels)


def _understood(labels: bytes) -> Identity:
    found: list[tuple[str, str]] = []
    for number, kind, start, end in protobuf.fields(labels, 0, len(labels)):
        if number != 1 or kind != BYTES:
            raise protobuf.Broken("is not a list of labels")
        if len(found) == LABELS_MOST:
            return _too_many_labels()
        found.append(_label(labels, start, end))
    return _identity(found)


_remembered = lru_cache(maxsize=16_384)(_understood)


def _label(labels: bytes, first: int, last: int) -> tuple[str, str]:
    name = value = ""
    for number, kind, start, end in protobuf.fields(labels, first, last):
        if kind == BYTES and number == 1:
            name = protobuf.string(labels, start, end)
        elif kind == BYTES and number == 2:
            value = protobuf.string(labels, start, end)
    return name, value


def _two(message: bytes, gathered: Gathering) -> None:
    symbols: list[str] = []
    series: list[tuple[int, int]] = []
    for number, kind, start, end in protobuf.fields(message, 0, len(message)):
        if number == 4 and kind == BYTES:
            symbols.append(protobuf.string(message, start, end))
            _refuse_count("symbols", len(symbols), SYMBOLS_MOST)
        elif number == 5 and kind == BYTES:
            series.append((start, end))
            _refuse_count("series", len(series), SERIES_MOST)
    if series and (not symbols or symbols[0] != ""):
        raise Unreadable("The symbols do not begin with the empty text, as remote write 2.0 asks.")
    for start, end in series:
        _series_two(message, start, end, symbols, gathered)


def _series_two(message: bytes, start: int, end: int, symbols: list[str], gathered: Gathering) -> None:
    samples: list[tuple[int, int]] = []
    references: list[int] = []
    for number, kind, first, last in protobuf.fields(message, start, end):
        if number == 1 and kind in (BYTES, VARINT):
            references.extend(
                islice(protobuf.numbers(message, kind, first, last), REFERENCES_MOST + 1 - len(references))
            )
        elif number == 2 and kind == BYTES:
            samples.append((first, last))
            gathered.expect(len(samples))
    _gather(message, samples, _identity_two(references, symbols), gathered)


def _identity_two(references: list[int], symbols: list[str]) -> Identity:
    if len(references) > REFERENCES_MOST:
        return _too_many_labels()
    if len(references) % 2:
        return _flawed("has a label name without a value")
    try:
        words = [symbols[reference] for reference in references]
    except IndexError:
        return _flawed("refers to a symbol that is not there")
    return _identity(list(batched(words, 2)))


def _identity(labels: Iterable[tuple[str, ...]]) -> Identity:
    name = ""
    tags: dict[str, str] = {}
    for key, value in labels:
        if key == "":
            return _flawed("has a label without a name")
        if key in tags or (key == _NAME and name):
            return _flawed(f"has the label {key[:64]!r} twice")
        if key == _NAME:
            name = value
        else:
            tags[key] = value
    return identity(name, tags.items()) if name else _flawed(f"has no {_NAME}")


def _flawed(what: str) -> Identity:
    return Identity("", {}, (FieldError(path="labels", message=what),))


def _too_many_labels() -> Identity:
    return _flawed(f"has more than {LABELS_MOST} labels")


def _gather(message: bytes, samples: list[tuple[int, int]], one: Identity, gathered: Gathering) -> None:
    for start, end in samples:
        value, milliseconds = _usual_sample(message, start, end) or _any_sample(message, start, end)
        gathered.sample(one, value, milliseconds / 1000)


def _usual_sample(message: bytes, start: int, end: int) -> tuple[float, int] | None:
    """A sample as every sender writes it, a double and a time of six bytes (1970 to 2109); None for any other."""
    if end - start != _SAMPLE.size or message[end - 1] > _LAST_BYTE_MOST:
        return None
    value_key, value, time_key, low, high = _SAMPLE.unpack_from(message, start)
    if value_key != _VALUE_KEY or time_key != _TIME_KEY or (low & _MORE) != _MORE or not high & 0x80:
        return None
    # Six groups of seven bits, the lowest first.
    milliseconds = (
        (low & 0x7F)
        | (low >> 8 & 0x7F) << 7
        | (low >> 16 & 0x7F) << 14
        | (low >> 24 & 0x7F) << 21
        | (high & 0x7F) << 28
        | (high >> 8) << 35
    )
    return value, milliseconds


def _any_sample(message: bytes, start: int, end: int) -> tuple[float, int]:
    value, milliseconds = 0.0, 0
    for number, kind, first, last in protobuf.fields(message, start, end):
        if number == 1 and kind == FIXED64:
            value = protobuf.double(message, first, last)
        elif number == 2 and kind == VARINT:
            milliseconds = protobuf.signed(first)
    return value, milliseconds


def _refuse_count(what: str, count: int, most: int) -> None:
    if count > most:
        raise Unreadable(f"Too many {what} in one request: send at most {most}.", code="too_many", status=413)


def _unsupported(detail: str) -> Unreadable:
    return Unreadable(detail, code="unsupported_media_type", status=415)
