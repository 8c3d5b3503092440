import re
import time

import pytest

from metrics.formats.reading import Unreadable
from tests.unit.metrics.cast import JSON, NDJSON, decode, errors_of

BAD_BODIES = {
    "empty": b"",
    "blank": b" \n",
    "null": b"null",
    "empty list": b"[]",
    "empty wrapper": b'{"metrics":[]}',
    "text": b'"x"',
    "number": b"1",
    "true": b"true",
    "truncated": b'{"metrics":[',
    "trailing garbage": b'{"name":"a","value":1}x',
    "two documents": b'{"name":"a","value":1}{"name":"a","value":1}',
    "not UTF-8": b'{"name":"a\xff","value":1}',
    "overlong UTF-8": b'{"name":"a","value":1,"tags":{"h":"\xc0\xaf"}}',
    "UTF-16": '{"name":"a","value":1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"name":"a","value":1}',
    "raw control character": b'{"name":"a\x01","value":1}',
    "leading zero": b'{"name":"a","value":01}',
    "open lists": b"[" * 100_000,
    "closed lists": b"[" * 100_000 + b"]" * 100_000,
    "open objects": b'{"a":' * 100_000,
    "closed objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep payload": b'{"type":"event","name":"e","payload":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "deep in a small body": b'{"type":"event","name":"e","payload":' + b'{"a":' * 2_000 + b"1" + b"}" * 2_001,
    "many brackets": b"[[],[" * 200_000,
    "escaped quotes without end": b'"' + b'\\"' * 500_000,
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_body_that_is_not_what_it_claims_is_a_400_with_a_sentence(body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(body)
    assert refused.value.status == 400
    assert refused.value.detail.endswith(".")


def test_hostile_nesting_takes_linear_time() -> None:
    started = time.monotonic()
    for body in BAD_BODIES.values():
        with pytest.raises(Unreadable):
            decode(body)
    assert time.monotonic() - started < 10


BAD_FIELDS = {
    "missing name": (b'{"value":1}', "name"),
    "missing value": (b'{"name":"a"}', "value"),
    "unknown field": (b'{"name":"a","value":1,"dry_runn":true}', "dry_runn"),
    "name is a number": (b'{"name":5,"value":1}', "name"),
    "name is a list": (b'{"name":["a"],"value":1}', "name"),
    "name is null": (b'{"name":null,"value":1}', "name"),
    "name is empty": (b'{"name":"","value":1}', "name"),
    "name is blank": (b'{"name":"  ","value":1}', "name"),
    "name is too long": (b'{"name":"' + b"n" * 201 + b'","value":1}', "name"),
    "name with NUL": (b'{"name":"a\\u0000b","value":1}', "name"),
    "name with a newline at its end": (b'{"name":"a\\n","value":1}', "name"),
    "name with escape": (b'{"name":"\\u001b[31m","value":1}', "name"),
    "name in Cyrillic": ('{"name":"cpu_us\u0430ge","value":1}'.encode(), "name"),
    "name fullwidth": ('{"name":"\uff43\uff50\uff55","value":1}'.encode(), "name"),
    "name begins with a digit": (b'{"name":"1a","value":1}', "name"),
    "value true": (b'{"name":"a","value":true}', "value"),
    "value null": (b'{"name":"a","value":null}', "value"),
    "value list": (b'{"name":"a","value":[]}', "value"),
    "value object": (b'{"name":"a","value":{}}', "value"),
    "value text": (b'{"name":"a","value":"1"}', "value"),
    "value text NaN": (b'{"name":"a","value":"NaN"}', "value"),
    "NaN": (b'{"name":"a","value":NaN}', "value"),
    "Infinity": (b'{"name":"a","value":Infinity}', "value"),
    "-Infinity": (b'{"name":"a","value":-Infinity}', "value"),
    "1e400": (b'{"name":"a","value":1e400}', "value"),
    "-1e400": (b'{"name":"a","value":-1e400}', "value"),
    "5,000 digits": (b'{"name":"a","value":' + b"9" * 5_000 + b"}", "value"),
    "33 characters": (b'{"name":"a","value":0.1' + b"0" * 30 + b"}", "value"),
    "tags is a list": (b'{"name":"a","value":1,"tags":[]}', "tags"),
    "tags is null": (b'{"name":"a","value":1,"tags":null}', "tags"),
    "nested tags": (b'{"name":"a","value":1,"tags":{"a":{"b":"c"}}}', "tags.a"),
    "tag value is a number": (b'{"name":"a","value":1,"tags":{"a":5}}', "tags.a"),
    "tag value is blank": (b'{"name":"a","value":1,"tags":{"host":""}}', "tags.host"),
    "tag value is too long": (b'{"name":"a","value":1,"tags":{"a":"' + b"v" * 257 + b'"}}', "tags.a"),
    "tag value with NUL": (b'{"name":"a","value":1,"tags":{"a":"\\u0000"}}', "tags.a"),
    "tag value with DEL": (b'{"name":"a","value":1,"tags":{"a":"\x7f"}}', "tags.a"),
    "tag value with bidi": (b'{"name":"a","value":1,"tags":{"a":"x\\u202ey"}}', "tags.a"),
    "tag value with zero width": (b'{"name":"a","value":1,"tags":{"a":"x\\u200by"}}', "tags.a"),
    "tag value with line separator": (b'{"name":"a","value":1,"tags":{"a":"x\\u2028y"}}', "tags.a"),
    "tag value not composed": ('{"name":"a","value":1,"tags":{"a":"Zu\u0308rich"}}'.encode(), "tags.a"),
    "tag value with lone surrogate": (b'{"name":"a","value":1,"tags":{"a":"\\ud800"}}', "tags.a"),
    "tag key reserved": (b'{"name":"a","value":1,"tags":{"__name__":"x"}}', "tags.__name__"),
    "tag key with a space": (b'{"name":"a","value":1,"tags":{"a b":"x"}}', "tags.a b"),
    "tag key with NUL": (b'{"name":"a","value":1,"tags":{"a\\u0000":"x"}}', "tags.a?"),
    "tag key with lone surrogate": (b'{"name":"a","value":1,"tags":{"a\\ud800":"x"}}', "tags.a?"),
    "tag key empty": (b'{"name":"a","value":1,"tags":{"":"x"}}', "tags."),
    "tag key too long": (b'{"name":"a","value":1,"tags":{"' + b"k" * 65 + b'":"x"}}', "tags." + "k" * 64 + "..."),
    "33 tags": (b'{"name":"a","value":1,"tags":{' + b",".join(b'"k%d":"v"' % n for n in range(33)) + b"}}", "tags"),
    "two names": (b'{"name":"a","name":"b","value":1}', "name"),
    "two tags of one key": (b'{"name":"a","value":1,"tags":{"h":"1","h":"2"}}', "tags.h"),
    "unknown type": (b'{"type":"log","name":"a","value":1}', "type"),
    "type is a list": (b'{"type":[],"name":"a","value":1}', "type"),
    "a metric with a payload": (b'{"name":"a","value":1,"payload":{}}', "payload"),
    "an event with a value": (b'{"type":"event","name":"a","value":1}', "value"),
    "unknown severity": (b'{"type":"event","name":"a","severity":"fatal"}', "severity"),
    "severity is a list": (b'{"type":"event","name":"a","severity":[]}', "severity"),
    "payload is a text": (b'{"type":"event","name":"a","payload":"x"}', "payload"),
    "payload nine deep": (b'{"type":"event","name":"a","payload":' + b'{"a":' * 9 + b"1" + b"}" * 10, "payload"),
    "payload too large": (b'{"type":"event","name":"a","payload":{"a":"' + b"x" * 16_384 + b'"}}', "payload"),
    "payload with NUL": (b'{"type":"event","name":"a","payload":{"a":["\\u0000"]}}', "payload"),
    "payload key with NUL": (b'{"type":"event","name":"a","payload":{"a\\u0000":1}}', "payload"),
    "payload with lone surrogate": (b'{"type":"event","name":"a","payload":{"a":"\\udc00"}}', "payload"),
    "payload with NaN": (b'{"type":"event","name":"a","payload":{"a":NaN}}', "payload"),
    "payload with 70 bits": (b'{"type":"event","name":"a","payload":{"a":1180591620717411303424}}', "payload"),
    "payload with a key twice": (b'{"type":"event","name":"a","payload":{"a":[{"b":1,"b":2}]}}', "payload"),
}


@pytest.mark.parametrize(("body", "path"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_a_refused_reading_names_the_place(body: bytes, path: str) -> None:
    assert [error.path for error in errors_of(body)] == [path]


BAD_MOMENTS = {
    "naive": ('"2026-01-19T12:00:00"', "zone"),
    "milliseconds": ("1768824000000", "milliseconds"),
    "nanoseconds": ("1768824000000000000", "milliseconds"),
    "number in quotes": ('"1768824000"', "quotes"),
    "leap second": ('"2026-01-19T11:59:60Z"', "leap second"),
    "hour 24": ('"2026-01-19T24:00:00Z"', "24"),
    "year 9999": ('"9999-12-31T23:59:59Z"', "future"),
    "year 1": ('"0001-01-01T00:00:00+14:00"', "older"),
    "61 seconds ahead": ('"2026-01-19T12:01:01Z"', "future"),
    "61 seconds ahead in epoch seconds": ("1768824061", "future"),
    "older than the retention": ('"2026-01-05T11:59:59Z"', "14 days"),
    "before 1970": ("-5", "older"),
    "huge": ("1e308", "milliseconds"),
    "out of range": ("1e400", "out of range"),
    "true": ("true", "must be a time"),
    "null": ("null", "must be a time"),
    "a date": ('"2026-01-19"', "RFC 3339"),
    "a week date": ('"2026-W04-1T12:00:00Z"', "RFC 3339"),
    "words": ('"yesterday"', "RFC 3339"),
}


@pytest.mark.parametrize(("sent", "said"), BAD_MOMENTS.values(), ids=BAD_MOMENTS.keys())
def test_an_ambiguous_time_is_refused_with_what_to_send_instead(sent: str, said: str) -> None:
    (error,) = errors_of(b'{"name":"a","value":1,"timestamp":' + sent.encode() + b"}")
    assert error.path == "timestamp"
    assert said in error.message


def test_everything_wrong_with_a_reading_is_said_at_once() -> None:
    assert [error.path for error in errors_of({"name": "", "value": "1", "tags": {"a b": "x"}, "x": 1})] == [
        "x",
        "name",
        "value",
        "tags.a b",
    ]


def test_a_thousand_unknown_fields_are_not_all_told() -> None:
    assert len(errors_of({f"k{number}": 1 for number in range(1_000)})) == 8


def test_an_unknown_field_cannot_write_into_the_answer() -> None:
    (error, *_) = errors_of({"\u202e\x1b[31m" + "x" * 1_000: 1, "name": "a", "value": 1})
    assert error.path.isprintable()
    assert error.path.isascii()
    assert len(error.path) < 80


def test_an_item_that_is_no_object_is_named_by_its_index() -> None:
    (rejected,) = decode(b'[1,{"name":"a","value":1}]').rejected
    assert rejected.index == 0


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"[" + b",".join([b'{"name":"a","value":1}'] * 5_001) + b"]", JSON),
        (b'{"name":"a","value":1}\n' * 5_001, NDJSON),
    ],
    ids=["array", "lines"],
)
def test_one_reading_too_many_is_a_413(body: bytes, content_type: str) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(body, content_type=content_type)
    assert (refused.value.status, "5000" in refused.value.detail) == (413, True)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        'application/x-ndjson; charset="rot13"',
    ],
)
def test_another_content_type_or_charset_is_a_415(content_type: str) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(b'{"name":"a","value":1}', content_type=content_type)
    assert refused.value.status == 415


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", 'Application/JSON;charset="utf-8"'])
def test_utf_8_may_be_said_in_any_case(content_type: str) -> None:
    assert decode(b'{"name":"a","value":1}', content_type=content_type).single


def test_a_broken_line_is_named() -> None:
    with pytest.raises(Unreadable) as refused:
        decode(b'{"name":"a","value":1}\n{"name":', content_type=NDJSON)
    assert (refused.value.status, refused.value.errors[0].path) == (400, "[1]")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"metrics":{}}', "metrics"),
        (b'{"metrics":[],"metrics":[{}]}', "metrics"),
        (b'{"metrics":[{}],"atomic":true}', "atomic"),
        (b'{"\\u001b":1,"metrics":[{}]}', "?"),
    ],
)
def test_a_wrapper_holds_one_list_and_nothing_else(body: bytes, path: str) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(body)
    assert (refused.value.status, refused.value.errors[0].path) == (422, path)


@pytest.mark.parametrize("body", [b'{"name":"a', b'{"name":"a\x01"}', b'{"name"', b'{"name":"a",}'])
def test_what_is_no_json_is_told_in_one_sentence(body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(body)
    assert re.fullmatch(r"The body is not JSON: (?!.* at at ).+ at line 1, column \d+\.", refused.value.detail)
