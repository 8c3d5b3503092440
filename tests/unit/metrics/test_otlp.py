import contextlib
import json
import struct
import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.formats import moments, otlp
from metrics.formats.reading import Decoded, Reading, Unreadable
from tests.unit.metrics import wire_out as out
from tests.unit.metrics.cast import NOON
from vigil.kernel.errors import VigilError

SPAN = moments.span(received_at=NOON, retention=timedelta(days=14), future_tolerance=timedelta(seconds=60))
NANO = int(NOON.timestamp()) * 1_000_000_000
DELTA, CUMULATIVE = 1, 2


def decode(body: bytes | object, content_type: str = otlp.JSON, *, max_items: int = 5_000) -> Decoded:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return otlp.decode(raw, content_type=content_type, span=SPAN, max_items=max_items)


def request(*metrics: dict[str, Any], **resource: str) -> dict[str, Any]:
    told = [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in resource.items()]
    return {"resourceMetrics": [{"resource": {"attributes": told}, "scopeMetrics": [{"metrics": metrics}]}]}


def gauge(name: str = "cpu", **point: Any) -> dict[str, Any]:
    return {"name": name, "gauge": {"dataPoints": [{"timeUnixNano": str(NANO), "asDouble": 1.5, **point}]}}


def values(decoded: Decoded) -> list[tuple[str, dict[str, str], float]]:
    assert decoded.rejected == []
    return [(one.name, one.tags, one.value) for _, one in decoded.items if isinstance(one, Reading)]


def test_a_gauge_is_a_reading_with_the_tags_of_its_resource() -> None:
    decoded = decode(request(gauge("process.cpu.usage"), host__name="web-01", service__name="shop", process__pid="17"))
    tags = {"host": "web-01", "service": "shop"}
    assert decoded.items == [(0, Reading("process.cpu.usage", 1.5, tags, NOON))]


def test_attributes_of_a_point_are_tags_as_well() -> None:
    told = {"text": {"stringValue": "a b"}, "on": {"boolValue": True}, "code": {"intValue": "200"}}
    told |= {"share": {"doubleValue": 0.5}, "list": {"arrayValue": {"values": [{"intValue": 1}]}}, "none": {}}
    attributes = [{"key": key, "value": value} for key, value in told.items()]
    ((_, tags, _),) = values(decode(request(gauge(attributes=attributes))))
    assert tags == {"text": "a b", "on": "true", "code": "200", "share": "0.5"}


def test_a_tag_of_the_point_beats_that_of_its_resource() -> None:
    attributes = [{"key": "host", "value": {"stringValue": "db-01"}}]
    ((_, tags, _),) = values(decode(request(gauge(attributes=attributes), host__name="web-01")))
    assert tags == {"host": "db-01"}


def test_a_point_without_a_time_is_of_its_arrival() -> None:
    ((_, reading),) = decode(request(gauge(timeUnixNano="0"))).items
    assert reading.at is None


SUMS = {
    "cumulative": (CUMULATIVE, "requests"),
    "delta": (DELTA, "requests_delta"),
    "delta by name": ("AGGREGATION_TEMPORALITY_DELTA", "requests_delta"),
    "not said": (0, "requests"),
}


@pytest.mark.parametrize(("temporality", "name"), SUMS.values(), ids=SUMS.keys())
def test_a_difference_is_told_from_a_total_by_its_name(temporality: object, name: str) -> None:
    points = [{"timeUnixNano": NANO, "asInt": "42"}]
    told = {"name": "requests", "sum": {"dataPoints": points, "aggregationTemporality": temporality}}
    assert values(decode(request(told))) == [(name, {}, 42.0)]


HISTOGRAM = {
    "name": "latency",
    "histogram": {
        "aggregationTemporality": CUMULATIVE,
        "dataPoints": [
            {
                "timeUnixNano": str(NANO),
                "count": "6",
                "sum": 1.25,
                "bucketCounts": ["1", "2", "3"],
                "explicitBounds": [0.25, 5],
            }
        ],
    },
}


def test_a_histogram_is_a_count_a_sum_and_running_buckets() -> None:
    assert values(decode(request(HISTOGRAM))) == [
        ("latency_count", {}, 6.0),
        ("latency_sum", {}, 1.25),
        ("latency_bucket", {"le": "0.25"}, 1.0),
        ("latency_bucket", {"le": "5"}, 3.0),
        ("latency_bucket", {"le": "+Inf"}, 6.0),
    ]


def test_an_exponential_histogram_keeps_its_count_and_sum() -> None:
    point = {"timeUnixNano": str(NANO), "count": "6", "sum": 1.25, "scale": 3, "positive": {"bucketCounts": ["6"]}}
    told = {"name": "latency", "exponentialHistogram": {"dataPoints": [point], "aggregationTemporality": DELTA}}
    assert values(decode(request(told))) == [("latency_delta_count", {}, 6.0), ("latency_delta_sum", {}, 1.25)]


def test_a_summary_is_a_count_a_sum_and_quantiles() -> None:
    quantiles = [{"quantile": 0.5, "value": 3}, {"quantile": 1, "value": "NaN"}]
    point = {"timeUnixNano": str(NANO), "count": 4, "sum": 12, "quantileValues": quantiles}
    decoded = decode(request({"name": "wait", "summary": {"dataPoints": [point]}}))
    assert values(decoded) == [("wait_count", {}, 4.0), ("wait_sum", {}, 12.0), ("wait", {"quantile": "0.5"}, 3.0)]
    assert decoded.skipped == 1


@pytest.mark.parametrize("point", [{"flags": 1}, {"asDouble": "NaN"}, {"asDouble": "Infinity"}, {"asDouble": None}])
def test_a_point_without_a_value_is_skipped(point: dict[str, Any]) -> None:
    decoded = decode(request(gauge(**point)))
    assert (decoded.items, decoded.rejected, decoded.skipped) == ([], [], 1)


REFUSED = {
    "no name": (gauge(""), "name"),
    "a name too long": (gauge("n" * 201), "name"),
    "a future": (gauge(timeUnixNano=str(NANO + 61 * 10**9)), "timestamp"),
    "a time in milliseconds": (gauge(timeUnixNano=str(NANO // 10**6)), "timestamp"),
    "a value too long": (gauge(attributes=[{"key": "a", "value": {"stringValue": "v" * 257}}]), "tags.a"),
    "33 attributes": (
        gauge(attributes=[{"key": f"k{number}", "value": {"intValue": 1}} for number in range(33)]),
        "tags",
    ),
}


@pytest.mark.parametrize(("metric", "path"), REFUSED.values(), ids=REFUSED.keys())
def test_a_point_that_cannot_be_kept_is_refused_beside_the_others(metric: dict[str, Any], path: str) -> None:
    decoded = decode(request(gauge(), metric))
    assert len(decoded.items) == 1
    assert [(item.index, item.errors[0].path) for item in decoded.rejected] == [(1, path)]


def test_suffixes_may_make_a_name_too_long() -> None:
    decoded = decode(request(HISTOGRAM | {"name": "n" * 198}))
    assert {item.errors[0].path for item in decoded.rejected} == {"name"}


BROKEN = {
    "no JSON": b"{",
    "a list": b"[]",
    "not UTF-8": b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"\xff"}]}]}]}',
    "a number for a list": b'{"resourceMetrics":1}',
    "deep": b'{"resourceMetrics":' + b"[" * 100_000,
    "deep in what is not read": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a whole number that is none": json.dumps(request(gauge(asInt="x"))).encode(),
    "a time of 5,000 digits": json.dumps(request(gauge(timeUnixNano="9" * 5_000))).encode(),
    "a double that is none": json.dumps(request(gauge(asDouble="one"))).encode(),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_not_otlp_is_a_400_with_a_sentence(body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(body)
    assert (refused.value.status, refused.value.detail[-1]) == (400, ".")


def _text(key: str, value: str) -> bytes:
    return out.some(1, key) + out.some(2, out.some(1, value))


def _protobuf(*metrics: bytes) -> bytes:
    resource = out.some(1, out.some(1, _text("host.name", "web-01")))
    return out.some(1, resource + out.some(2, b"".join(out.some(2, metric) for metric in metrics)))


def _packed(form: str, *numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}{form}", *numbers)


NUMBERS = out.some(1, "requests") + out.some(
    7,
    out.some(1, out.fixed(3, NANO) + out.fixed(6, -3 & (2**64 - 1)) + out.some(7, _text("zone", "a")))
    + out.whole(2, 1),
)
BUCKETS = out.some(1, "latency") + out.some(
    9,
    out.some(
        1,
        out.fixed(3, NANO) + out.fixed(4, 6) + out.double(5, 1.25) + out.some(6, _packed("Q", 1, 2, 3))
        + out.double(7, 0.25) + out.double(7, 5.0) + out.some(9, _text("zone", "a")),
    ),
)  # fmt: skip
QUANTILES = out.some(1, "wait") + out.some(
    11, out.some(1, out.fixed(3, NANO) + out.fixed(4, 4) + out.some(6, out.double(1, 0.5) + out.double(2, 3.0)))
)
EXPONENTIAL = out.some(1, "size") + out.some(
    10, out.some(1, out.fixed(3, NANO) + out.fixed(4, 2) + out.double(5, 9.0) + out.some(1, _text("zone", "b")))
)
GOOD = _protobuf(NUMBERS, BUCKETS, QUANTILES, EXPONENTIAL)


def test_the_protocol_buffer_tells_the_same() -> None:
    host, zone = {"host": "web-01"}, {"host": "web-01", "zone": "a"}
    assert values(decode(GOOD, otlp.PROTOBUF)) == [
        ("requests_delta", zone, -3.0),
        ("latency_count", zone, 6.0),
        ("latency_sum", zone, 1.25),
        ("latency_bucket", zone | {"le": "0.25"}, 1.0),
        ("latency_bucket", zone | {"le": "5"}, 3.0),
        ("latency_bucket", zone | {"le": "+Inf"}, 6.0),
        ("wait_count", host, 4.0),
        ("wait", host | {"quantile": "0.5"}, 3.0),
        ("size_count", host | {"zone": "b"}, 2.0),
        ("size_sum", host | {"zone": "b"}, 9.0),
    ]


def test_more_values_than_a_request_may_hold_are_refused() -> None:
    assert len(decode(GOOD, otlp.PROTOBUF, max_items=10).items) == 10
    with pytest.raises(Unreadable) as refused:
        decode(GOOD, otlp.PROTOBUF, max_items=9)
    assert refused.value.status == 413


FLOODS = {
    "metrics": (out.some(1, out.some(2, out.some(2, b"") * 400_000)), otlp.PROTOBUF),
    "resources": (out.some(1, b"") * 260_000, otlp.PROTOBUF),
    "resources as JSON": (b'{"resourceMetrics":[' + b"{}," * 400_000 + b"{}]}", otlp.JSON),
    "buckets": (
        _protobuf(out.some(9, out.some(1, b"".join(out.some(f, b"\0" * 1_000_000) for f in (6, 7))))),
        otlp.PROTOBUF,
    ),
}


@pytest.mark.parametrize(("body", "content_type"), FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_of_nothing_is_refused_in_little_time(body: bytes, content_type: str) -> None:
    started = time.process_time()
    with pytest.raises(Unreadable) as refused:
        decode(body, content_type, max_items=500)
    assert refused.value.status in (400, 413)
    assert time.process_time() - started < 5


@given(st.binary(max_size=200))
def test_no_bytes_at_all_bring_the_decoder_down(body: bytes) -> None:
    for content_type in (otlp.JSON, otlp.PROTOBUF):
        with contextlib.suppress(VigilError):
            decode(body, content_type)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_no_changed_byte_brings_the_decoder_down(place: int, byte: int) -> None:
    with contextlib.suppress(VigilError):
        decode(GOOD[:place] + bytes([byte]) + GOOD[place + 1 :], otlp.PROTOBUF)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)


@given(anything, st.sampled_from(["asInt", "asDouble", "timeUnixNano", "attributes", "flags"]))
def test_no_document_brings_the_decoder_down(value: object, field: str) -> None:
    with contextlib.suppress(VigilError):
        point: dict[str, Any] = {field: value}
        decode(request(gauge(**point)))
