"""OTLP metrics: the message of OpenTelemetry's exporters and collectors, as JSON and as a protocol buffer.

https://opentelemetry.io/docs/specs/otlp/. Both forms become the same structs; what they mean is said once (`_metric`).
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from math import isfinite
from typing import Any, NamedTuple

import msgspec

from metrics.formats import documents, protobuf, shaped
from metrics.formats.gathering import Gathering, Identity, beside, identity
from metrics.formats.moments import Span
from metrics.formats.protobuf import BYTES, FIXED64, VARINT
from metrics.formats.reading import Decoded, Unreadable

JSON, PROTOBUF = "application/json", "application/x-protobuf"
DELTA = "_delta"
"""Stands behind the name of what was sent as a difference: such a series must never be taken for a running total."""
_DELTA_TEMPORALITY = (1, "AGGREGATION_TEMPORALITY_DELTA")
_NO_VALUE = 1
"""The flag of a data point that says: the series has ended."""
_RESOURCE_TAGS = {
    "service.name": "service",
    "service.instance.id": "instance",
    "host.name": "host",
    "k8s.pod.name": "pod",
    "k8s.deployment.name": "deployment",
    "k8s.namespace.name": "namespace",
    "deployment.environment.name": "environment",
    "deployment.environment": "environment",
    "cloud.region": "region",
}
"""Attributes of a resource that become tags; the many others describe the process rather than tell it from another."""

# In JSON a 64-bit number is a text, and a double may be "NaN" or "Infinity".
type Whole = int | str
type Real = float | str


MESSAGES_FOR_A_VALUE = 50
"""A value comes in some messages, and each of its attributes in two."""


class _Value(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Whole | None = None
    double_value: Real | None = None


class _Attribute(msgspec.Struct, rename="camel"):
    key: str = ""
    value: _Value | None = None


class _Quantile(msgspec.Struct, rename="camel"):
    quantile: Real = 0.0
    value: Real = 0.0


class _Point(msgspec.Struct, rename="camel"):
    """A data point of any kind; each kind has some of these."""

    attributes: list[_Attribute] = []
    time_unix_nano: Whole = 0
    as_double: Real | None = None
    as_int: Whole | None = None
    count: Whole = 0
    sum: Real | None = None
    bucket_counts: list[Whole] = []
    explicit_bounds: list[Real] = []
    quantile_values: list[_Quantile] = []
    flags: int = 0


class _Points(msgspec.Struct, rename="camel"):
    data_points: list[_Point] = []
    aggregation_temporality: Whole = 0


class _Metric(msgspec.Struct, rename="camel"):
    name: str = ""
    gauge: _Points | None = None
    sum: _Points | None = None
    histogram: _Points | None = None
    exponential_histogram: _Points | None = None
    summary: _Points | None = None


class _Scope(msgspec.Struct, rename="camel"):
    metrics: list[_Metric] = []


class _Resource(msgspec.Struct, rename="camel"):
    attributes: list[_Attribute] = []


class _ResourceMetrics(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_metrics: list[_Scope] = []


class _Request(msgspec.Struct, rename="camel"):
    resource_metrics: list[_ResourceMetrics] = []


def decode(body: bytes, *, content_type: str, span: Span, max_items: int) -> Decoded:
    """The values in `body`, which is JSON or PROTOBUF; Unreadable (400, 413) when it is not.

    A data point of a histogram or summary is several values, which share its index: `_count`, `_sum`, and one for each
    bucket or quantile.
    """
    most = max_items * MESSAGES_FOR_A_VALUE
    request: _Request = (
        shaped.read(body, _Request, what="the metrics of OTLP", most=most)
        if content_type == JSON
        else _Reader(body, most).whole()
    )
    gathered = Gathering(span, max_items=max_items)
    for sent in request.resource_metrics:
        resource = _resource_tags(sent.resource.attributes if sent.resource is not None else [])
        for scope in sent.scope_metrics:
            for metric in scope.metrics:
                _metric(metric, resource, gathered)
    return gathered.decoded()


def _resource_tags(attributes: Iterable[_Attribute]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in _tags(attributes):
        if key in _RESOURCE_TAGS:
            found.setdefault(_RESOURCE_TAGS[key], value)
    return found


def _tags(attributes: Iterable[_Attribute]) -> Iterator[tuple[str, str]]:
    """Attributes as texts. Lists, maps and bytes are no way to tell series apart, and are left out."""
    for attribute in attributes:
        value = attribute.value
        if value is None:
            continue
        if value.string_value is not None:
            yield attribute.key, value.string_value
        elif value.bool_value is not None:
            yield attribute.key, "true" if value.bool_value else "false"
        elif value.int_value is not None:
            yield attribute.key, str(value.int_value)
        elif value.double_value is not None:
            yield attribute.key, str(value.double_value)


def _metric(metric: _Metric, resource: dict[str, str], gathered: Gathering) -> None:
    for points in (metric.gauge, metric.sum, metric.histogram, metric.exponential_histogram, metric.summary):
        if points is None:
            continue
        name = metric.name + DELTA if points.aggregation_temporality in _DELTA_TEMPORALITY else metric.name
        for point in points.data_points:
            gathered.begin()
            one = identity(name, (resource | dict(_tags(point.attributes))).items())
            at = _nanoseconds(point.time_unix_nano)
            for series, value in _values(point, one, single=points is metric.gauge or points is metric.sum):
                if point.flags & _NO_VALUE:
                    gathered.skip()
                else:
                    gathered.sample(series, float(value), at)


def _values(point: _Point, one: Identity, *, single: bool) -> Iterator[tuple[Identity, float]]:
    if single:
        yield one, _real(point.as_double if point.as_int is None else _whole(point.as_int))
        return
    yield beside(one, "_count"), _whole(point.count)
    if point.sum is not None:
        yield beside(one, "_sum"), _real(point.sum)
    counts = accumulate(_whole(count) for count in point.bucket_counts)
    for bound, count in zip([*point.explicit_bounds, "+Inf"], counts, strict=False):
        yield beside(one, "_bucket", le=_bound(bound)), count
    for quantile in point.quantile_values:
        yield beside(one, "", quantile=_bound(quantile.quantile)), _real(quantile.value)


def _bound(bound: Real) -> str:
    """A bound as Prometheus spells it in `le`: 5, 0.25, +Inf."""
    number = _real(bound)
    if not isfinite(number):
        return "+Inf" if number > 0 else "-Inf" if number < 0 else "NaN"
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _nanoseconds(sent: Whole) -> float | None:
    return _whole(sent) / 1e9 or None


def _whole(sent: Whole) -> int:
    try:
        number = int(sent) if isinstance(sent, int) or len(sent) <= documents.NUMBER_MOST else None
    except ValueError:
        number = None
    if number is None or abs(number) >= 1 << 64:
        raise Unreadable("The body holds a 64-bit number that is none.")
    return number


def _too_many(most: int) -> Unreadable:
    return Unreadable(f"The body holds more than {most} messages; send less at once.", code="too_many", status=413)


def _real(sent: Real | None) -> float:
    try:
        return float("nan") if sent is None else float(sent)
    except ValueError:
        raise Unreadable("The body holds a number that is none.") from None


# --- as a protocol buffer -------------------------------------------------------------------------------------------

_TEXT, _BOOL, _INT, _DOUBLE, _FIXED, _SFIXED, _FIXED_MANY, _DOUBLE_MANY = range(8)


class _Shape(NamedTuple):
    """Which field of a message is which attribute of a struct; what is not here is skipped."""

    struct: Callable[..., Any]
    fields: "dict[int, tuple[str, int | _Shape]]"


# From the inside out, so nothing nests deeper than this.
_VALUE = _Shape(
    _Value, {1: ("string_value", _TEXT), 2: ("bool_value", _BOOL), 3: ("int_value", _INT), 4: ("double_value", _DOUBLE)}
)
_ATTRIBUTE = _Shape(_Attribute, {1: ("key", _TEXT), 2: ("value", _VALUE)})
_QUANTILE = _Shape(_Quantile, {1: ("quantile", _DOUBLE), 2: ("value", _DOUBLE)})
_NUMBER = _Shape(
    _Point,
    {
        3: ("time_unix_nano", _FIXED),
        4: ("as_double", _DOUBLE),
        6: ("as_int", _SFIXED),
        7: ("attributes", _ATTRIBUTE),
        8: ("flags", _INT),
    },
)
_HISTOGRAM = _Shape(
    _Point,
    {
        3: ("time_unix_nano", _FIXED),
        4: ("count", _FIXED),
        5: ("sum", _DOUBLE),
        6: ("bucket_counts", _FIXED_MANY),
        7: ("explicit_bounds", _DOUBLE_MANY),
        9: ("attributes", _ATTRIBUTE),
        10: ("flags", _INT),
    },
)
_EXPONENTIAL = _Shape(
    _Point,
    {
        1: ("attributes", _ATTRIBUTE),
        3: ("time_unix_nano", _FIXED),
        4: ("count", _FIXED),
        5: ("sum", _DOUBLE),
        10: ("flags", _INT),
    },
)
_SUMMARY = _Shape(
    _Point,
    {
        3: ("time_unix_nano", _FIXED),
        4: ("count", _FIXED),
        5: ("sum", _DOUBLE),
        6: ("quantile_values", _QUANTILE),
        7: ("attributes", _ATTRIBUTE),
        8: ("flags", _INT),
    },
)


def _points(point: _Shape) -> _Shape:
    return _Shape(_Points, {1: ("data_points", point), 2: ("aggregation_temporality", _INT)})


_METRIC = _Shape(
    _Metric,
    {
        1: ("name", _TEXT),
        5: ("gauge", _points(_NUMBER)),
        7: ("sum", _points(_NUMBER)),
        9: ("histogram", _points(_HISTOGRAM)),
        10: ("exponential_histogram", _points(_EXPONENTIAL)),
        11: ("summary", _points(_SUMMARY)),
    },
)
_SCOPE = _Shape(_Scope, {2: ("metrics", _METRIC)})
_RESOURCE = _Shape(_Resource, {1: ("attributes", _ATTRIBUTE)})
_RESOURCE_METRICS = _Shape(_ResourceMetrics, {1: ("resource", _RESOURCE), 2: ("scope_metrics", _SCOPE)})
_REQUEST = _Shape(_Request, {1: ("resource_metrics", _RESOURCE_METRICS)})
_MANY = {"resource_metrics", "scope_metrics", "metrics", "attributes", "data_points", "quantile_values"}


class _Reader:
    """Makes structs of the messages in `data`, `most` of them at most: an empty message takes two bytes."""

    def __init__(self, data: bytes, most: int) -> None:
        self._data = data
        self._left = self._most = most

    def whole(self) -> Any:
        return self._message(_REQUEST, 0, len(self._data))

    def _message(self, shape: _Shape, start: int, end: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _too_many(self._most)
        found: dict[str, Any] = {}
        for number, kind, first, last in protobuf.fields(self._data, start, end):
            if number not in shape.fields:
                continue
            name, holds = shape.fields[number]
            if isinstance(holds, int):
                _number(found, name, holds, self._data, kind, first, last)
            elif kind != BYTES:
                raise protobuf.Broken("holds a number where a message belongs")
            elif name in _MANY:
                found.setdefault(name, []).append(self._message(holds, first, last))
            else:
                found[name] = self._message(holds, first, last)
        return shape.struct(**found)


_KIND = {_TEXT: BYTES, _BOOL: VARINT, _INT: VARINT, _DOUBLE: FIXED64, _FIXED: FIXED64, _SFIXED: FIXED64}


def _number(found: dict[str, Any], name: str, holds: int, data: bytes, kind: int, first: int, last: int) -> None:
    if holds in (_FIXED_MANY, _DOUBLE_MANY):
        form = "Q" if holds == _FIXED_MANY else "d"
        if kind not in (BYTES, FIXED64) or (last - first) % 8:
            raise protobuf.Broken("holds a list of numbers that is none")
        found.setdefault(name, []).extend(struct.unpack_from(f"<{(last - first) // 8}{form}", data, first))
        return
    if kind != _KIND[holds]:
        raise protobuf.Broken("holds a field of the wrong kind")
    if holds == _TEXT:
        found[name] = protobuf.string(data, first, last)
    elif holds == _BOOL:
        found[name] = bool(first)
    elif holds == _INT:
        found[name] = protobuf.signed(first)
    elif holds == _DOUBLE:
        found[name] = protobuf.double(data, first, last)
    else:
        number = protobuf.fixed64(data, first, last)
        found[name] = protobuf.signed(number) if holds == _SFIXED else number
