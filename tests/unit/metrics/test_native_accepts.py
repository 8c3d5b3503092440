from datetime import UTC, datetime, timedelta

import pytest

from metrics.formats.reading import EventReading, Reading
from tests.unit.metrics.cast import NDJSON, NOON, decode, only

CPU = {"name": "cpu_usage", "value": 87.5, "tags": {"host": "web-01", "region": "us-east-1"}}


def test_one_object_is_one_reading() -> None:
    decoded = decode(CPU)
    assert only(decoded) == Reading("cpu_usage", 87.5, {"host": "web-01", "region": "us-east-1"}, None)
    assert decoded.single


@pytest.mark.parametrize("body", [[CPU, CPU], {"metrics": [CPU, CPU]}], ids=["array", "wrapped"])
def test_a_batch_keeps_its_order_and_is_not_single(body: object) -> None:
    decoded = decode(body)
    assert [index for index, _ in decoded.items] == [0, 1]
    assert not decoded.single


def test_lines_are_a_batch_and_blank_ones_do_not_count() -> None:
    decoded = decode(b'{"name":"a","value":1}\n\n{"name":"b","value":2}\r\n', content_type=NDJSON)
    assert [(index, item.name) for index, item in decoded.items] == [(0, "a"), (1, "b")]
    assert not decoded.single


def test_an_event_is_told_by_its_type() -> None:
    event = {"type": "event", "name": "deploy_failed", "severity": "critical", "payload": {"commit": "ab12\nline two"}}
    assert only(decode(event)) == EventReading("deploy_failed", "critical", {}, {"commit": "ab12\nline two"}, None)


def test_an_event_needs_only_a_name() -> None:
    assert only(decode({"type": "event", "name": "deploy"})) == EventReading("deploy", "info", {}, {}, None)


def test_metrics_and_events_may_be_mixed() -> None:
    kinds = [type(item) for _, item in decode([CPU, {"type": "event", "name": "deploy"}]).items]
    assert kinds == [Reading, EventReading]


@pytest.mark.parametrize(
    ("sent", "at"),
    [
        (b'"2026-01-19T11:59:00Z"', NOON - timedelta(minutes=1)),
        (b'"2026-01-19T12:59:00+01:00"', NOON - timedelta(minutes=1)),
        (b'"2026-01-19T11:59:00.25Z"', NOON - timedelta(seconds=59.75)),
        (b"1768823940", NOON - timedelta(minutes=1)),
        (b"1768823940.5", NOON - timedelta(seconds=59.5)),
        (b'"2026-01-19T12:01:00Z"', NOON + timedelta(seconds=60)),
        (b'"2026-01-05T12:00:00Z"', NOON - timedelta(days=14)),
    ],
)
def test_a_time_has_a_zone_or_is_in_epoch_seconds(sent: bytes, at: datetime) -> None:
    reading = only(decode(b'{"name":"a","value":1,"timestamp":' + sent + b"}"))
    assert reading.at == at
    assert reading.at is not None
    assert reading.at.tzinfo is UTC


@pytest.mark.parametrize("value", [0, -0.0, 1, -1.5, 1e308, 5e-324, 10**30, 1.7976931348623157e308])
def test_every_finite_number_is_a_value(value: float) -> None:
    reading = only(decode({"name": "a", "value": value}))
    assert isinstance(reading, Reading)
    assert reading.value == float(value)


@pytest.mark.parametrize(
    "value",
    ["'; DROP TABLE--", "%00", "${jndi:ldap://x}", "{{7*7}}", "<script>", "=cmd|' /C calc'!A0", "Zürich", "日本"],
)
def test_a_tag_value_is_only_text(value: str) -> None:
    assert only(decode({"name": "a", "value": 1, "tags": {"place": value}})).tags == {"place": value}


def test_the_limits_themselves_are_allowed() -> None:
    tags = {"k" * 64: "v" * 256} | {f"k{number}": "v" for number in range(31)}
    assert len(only(decode({"name": "n" * 200, "value": 1, "tags": tags})).tags) == 32


def test_a_payload_may_be_eight_deep() -> None:
    payload: dict[str, object] = {"a": 1}
    for _ in range(7):
        payload = {"a": payload}
    assert only(decode({"type": "event", "name": "e", "payload": payload})) == EventReading("e", "info", {}, payload)


def test_a_field_called_metrics_inside_tags_does_not_make_a_batch() -> None:
    assert decode({"name": "a", "value": 1, "tags": {"metrics": "x"}}).single


def test_a_good_batch_survives_beside_refused_readings() -> None:
    decoded = decode(b'[{"name":"a","value":1},{"name":"b","value":NaN},{"name":"c","value":3}]')
    assert [(index, item.name) for index, item in decoded.items] == [(0, "a"), (2, "c")]
    assert [(rejected.index, rejected.errors[0].path) for rejected in decoded.rejected] == [(1, "value")]


def test_the_largest_batch_is_taken() -> None:
    assert len(decode([CPU] * 5_000).items) == 5_000


def test_above_64_kib_the_last_of_two_keys_wins() -> None:
    reading = b'{"name":"a","value":1,"value":2}'
    decoded = decode(b"[" + b",".join([reading] * 3_000) + b"]")
    assert {item.value for _, item in decoded.items if isinstance(item, Reading)} == {2.0}
