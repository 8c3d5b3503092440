"""What POST /api/v1/ingest does with bodies that mean no good: a status, a sentence, nothing stored."""

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import LazySettings

from metrics.models import Sample, Series
from tests.integration.hostile import door as doors
from tests.integration.hostile.door import JSON, Door, refused
from vigil.kernel import clock

INGEST = "/api/v1/ingest"
GOOD = b'{"name":"cpu","value":1,"tags":{"host":"a"}}'


def _reading(*, name: str = '"cpu"', value: str = "1", tags: str = '{"host":"a"}', more: str = "") -> bytes:
    """A reading whose fields are raw JSON, so that they can be no JSON at all."""
    return f'{{"name":{name},"value":{value},"tags":{tags}{more}}}'.encode("utf-8", "surrogatepass")


def _tagged(key: str, value: str = "v") -> bytes:
    return _reading(tags=f'{{"{key}":"{value}"}}')


def _at(moment: str) -> bytes:
    return _reading(more=f',"timestamp":{moment}')


def _event(payload: str) -> bytes:
    return f'{{"type":"event","name":"e","payload":{payload}}}'.encode()


def _nested(depth: int, inside: str = "1") -> str:
    return '{"a":' * depth + inside + "}" * depth


NO_JSON = {
    "H04 empty": b"",
    "H04 blank": b" \r\n\t",
    "H05 null": b"null",
    "H05 empty list": b"[]",
    "H05 text": b'"x"',
    "H05 number": b"1",
    "H05 true": b"true",
    "H06 truncated": b'{"metrics":[',
    "H06 truncated in a text": b'{"name":"cp',
    "H07 garbage behind": GOOD + b"x",
    "H07 two documents": GOOD + GOOD,
    "H08 open lists": b"[" * 100_000,
    "H08 closed lists": b"[" * 100_000 + b"]" * 100_000,
    "H08 lists in the wrapper": b'{"metrics":' + b"[" * 100_000,
    "H09 open objects": b'{"a":' * 100_000,
    "H09 closed objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "H09 mixed": b'[{"a":' * 50_000,
    "H10 a payload of 40 levels": _event(_nested(40)),
    "H28 no UTF-8": _reading(name='"a"').replace(b'"a"', b'"a\xff\xfe"', 1),
    "H28 overlong": _reading(name='"a"').replace(b'"a"', b'"\xc0\xaf"', 1),
    "H28 a surrogate in UTF-8": _reading(name='"\ud800"'),
    "H28 UTF-16": GOOD.decode().encode("utf-16"),
    "H28 UTF-32": GOOD.decode().encode("utf-32-be"),
    "H29 byte order mark": b"\xef\xbb\xbf" + GOOD,
    "a raw control character": b'{"name":"a\x01","value":1}',
    "a raw newline in a text": b'{"name":"a\n","value":1}',
    "single quotes": b"{'name':'a','value':1}",
    "a comment": b'{"name":"a","value":1}//x',
    "a trailing comma": b'{"name":"a","value":1,}',
    "a leading zero": _reading(value="01"),
    "a plus": _reading(value="+1"),
    "hexadecimal": _reading(value="0x10"),
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
def test_a_body_that_is_not_what_it_claims_is_a_400(door: Door, body: bytes) -> None:
    refused(door.send("POST", INGEST, body), 400)


LEAP = '"2016-12-31T23:59:60Z"'
WRONG = {
    "H10 tags in tags": _reading(tags='{"a":{"b":"c"}}'),
    "H10 a payload of nine levels": _event(_nested(10)),
    "H11 NaN": _reading(value="NaN"),
    "H11 Infinity": _reading(value="Infinity"),
    "H11 -Infinity": _reading(value="-Infinity"),
    "H12 NaN as text": _reading(value='"NaN"'),
    "H12 inf as text": _reading(value='"inf"'),
    "H12 -Infinity as text": _reading(value='"-Infinity"'),
    "H13 1e400": _reading(value="1e400"),
    "H13 -1e400": _reading(value="-1e400"),
    "H14 true": _reading(value="true"),
    "H14 false": _reading(value="false"),
    "H15 a number as text": _reading(value='"1"'),
    "H15 with an underscore": _reading(value='"1_000"'),
    "H15 fullwidth": _reading(value='"\uff11\uff12"'),
    "H15 with spaces": _reading(value='" 1 "'),
    "H15 hexadecimal": _reading(value='"0x10"'),
    "H16 5,000 digits": _reading(value="9" * 5_000),
    "H17 4,000 digits": _reading(value="1" * 4_000),
    "H19 42 characters": _reading(value="0.1" + "0" * 38 + "1"),
    "H20 null": _reading(value="null"),
    "H20 a list": _reading(value="[]"),
    "H20 an object": _reading(value="{}"),
    "H21 the name twice": b'{"name":"a","name":"b","value":1}',
    "H21 a tag twice": _reading(tags='{"h":"1","h":"2"}'),
    "H21 a key twice in a payload": _event('{"a":[{"b":1,"b":2}]}'),
    "H22 dry_runn": _reading(more=',"dry_runn":true'),
    "H22 is_admin": _reading(more=',"is_admin":true'),
    "H22 id": _reading(more=',"id":1'),
    "H22 an escape sequence as a field": _reading(more=',"\\u001b[31m":1'),
    "H22 a field of 10,000 letters": _reading(more=',"' + "x" * 10_000 + '":1'),
    "H23 NUL in the name": _reading(name='"a\\u0000b"'),
    "H24 NUL in a tag's key": _tagged("a\\u0000"),
    "H24 NUL in a tag's value": _tagged("a", "\\u0000"),
    "H25 NUL in a payload": _event('{"a":["\\u0000"]}'),
    "H25 NUL in a payload's key": _event('{"a\\u0000":1}'),
    "H26 half a pair in the name": _reading(name='"\\ud800"'),
    "H27 half a pair in a tag's key": _tagged("a\\ud800"),
    "H27 half a pair in a tag's value": _tagged("a", "\\udc00"),
    "H27 half a pair in a payload": _event('{"a":"\\ud800"}'),
    "H27 half a pair in a payload's key": _event('{"\\udfff":1}'),
    "H46 33 tags": _reading(tags="{" + ",".join(f'"k{n}":"v"' for n in range(33)) + "}"),
    "H46 60,000 tags": _reading(tags="{" + ",".join(f'"k{n}":"v"' for n in range(60_000)) + "}"),
    "H47 a tag key of 65": _tagged("k" * 65),
    "H47 an empty tag key": _tagged(""),
    "H47 __name__": _tagged("__name__"),
    "H47 __class__": _tagged("__class__"),
    "H47 a space": _tagged("a b"),
    "H47 a quote": _tagged('a\\"b'),
    "H47 a digit first": _tagged("1a"),
    "H47 a brace": _tagged("a{b}"),
    "H48 a tag value of 257": _tagged("a", "v" * 257),
    "H48 a tag value of a megabyte": _tagged("a", "v" * 1_000_000),
    "H50 a newline": _reading(name='"a\\n"'),
    "H50 an escape": _reading(name='"\\u001b[31m"'),
    "H50 a carriage return": _reading(name='"a\\r"'),
    "H50 right to left": _reading(name='"a\\u202eb"'),
    "H50 zero width": _reading(name='"a\\u200bb"'),
    "H50 a line separator": _reading(name='"a\\u2028b"'),
    "H50 spaces alone": _reading(name='"   "'),
    "H50 a flood of accents": _reading(name='"a' + "\\u0301" * 10_000 + '"'),
    "H50 a tag with an escape": _tagged("a", "\\u001b[2J"),
    "H50 a tag with a newline": _tagged("a", "x\\r\\n[ERROR] y"),
    "H50 a tag right to left": _tagged("a", "x\\u202ey"),
    "H51 not composed": _reading(name='"Zu\u0308rich"'),
    "H51 Cyrillic": _reading(name='"cpu_us\u0430ge"'),
    "H51 fullwidth": _reading(name='"\uff43\uff50\uff55"'),
    "H51 a tag not composed": _tagged("a", "Zu\u0308rich"),
    "H52 a number": _reading(name="5"),
    "H52 true": _reading(name="true"),
    "H52 a list": _reading(name='["a"]'),
    "H52 an object": _reading(name="{}"),
    "H53 no zone": _at('"2026-01-19T12:00:00"'),
    "H54 the year 9999": _at('"9999-12-31T23:59:59Z"'),
    "H54 the year 1": _at('"0001-01-01T00:00:00+14:00"'),
    "H54 a leap second": _at(LEAP),
    "H54 24:00": _at('"2026-01-19T24:00:00Z"'),
    "H54 milliseconds": _at("1768824000000"),
    "H54 the year 5138": _at("100000000000"),
    "H54 before 1970": _at("-1"),
    "H54 minus 1e308": _at("-1e308"),
    "H54 1e308": _at("1e308"),
    "H54 NaN": _at("NaN"),
    "H54 epoch as text": _at('"1768824000"'),
    "H54 yesterday": _at('"yesterday"'),
    "H54 true": _at("true"),
    "H54 null": _at("null"),
    "H54 a list": _at("[]"),
    "H54 15 days old": b"15 days",
    "H54 61 seconds ahead": b"61 seconds",
    "no name": b'{"value":1}',
    "no value": b'{"name":"a"}',
    "tags is a list": _reading(tags="[]"),
    "tags is null": _reading(tags="null"),
    "a tag is a number": _reading(tags='{"a":5}'),
    "a tag is null": _reading(tags='{"a":null}'),
    "an unknown type": b'{"type":"log","name":"a"}',
    "an unknown severity": b'{"type":"event","name":"a","severity":"fatal"}',
    "a payload of 20 KiB": _event('{"a":"' + "x" * 20_000 + '"}'),
    "a payload with a number of 70 bits": _event('{"a":1180591620717411303424}'),
    "a payload that is a list": _event("[]"),
}
MOVING = {b"15 days": timedelta(days=-15), b"61 seconds": timedelta(seconds=63)}


def _now(body: bytes) -> bytes:
    """Some payloads depend on the present."""
    return _at(f'"{(clock.now() + MOVING[body]).isoformat()}"') if body in MOVING else body


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_an_invalid_reading_is_a_422_that_names_the_place(door: Door, body: bytes) -> None:
    assert refused(door.send("POST", INGEST, _now(body)), 422)["errors"]


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_one_invalid_reading_keeps_an_atomic_batch_out(door: Door, body: bytes) -> None:
    batch = b'{"metrics":[' + GOOD + b"," + _now(body) + b"]}"
    document = refused(door.send("POST", f"{INGEST}?atomic=true", batch), 422)
    assert document["errors"][0]["path"].startswith("[1]")


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_without_atomic_the_good_reading_beside_it_counts_alone(door: Door, body: bytes) -> None:
    answer = door.send("POST", INGEST, b"[" + _now(body) + b"," + GOOD + b"]")
    assert answer.status == 201
    assert [one["index"] for one in answer.document["rejected"]] == [0]
    assert answer.left == {"Series": 1, "Sample": 1}


TYPES = {
    "H30 UTF-16": f"{JSON}; charset=utf-16",
    "H31 UTF-7": f"{JSON}; charset=utf-7",
    "H32 nonsense": f"{JSON}; charset=nonsense",
    "H32 rot13": f"{JSON}; charset=rot13",
    "H32 hex": f'{JSON}; charset="hex"',
    "H32 latin-1": f"{JSON};charset=iso-8859-1",
    "H33 text": "text/plain",
    "H33 XML": "application/xml",
    "H33 none": "",
    "H33 garbage": ";;;===",
    "H33 YAML": "application/yaml",
    "H34 a form": "application/x-www-form-urlencoded",
    "H34 multipart": "multipart/form-data; boundary=x",
    "H34 multipart without boundary": "multipart/form-data",
    "JSON in another dress": "application/vnd.api+json",
}


@pytest.mark.parametrize("content_type", TYPES.values(), ids=TYPES.keys())
def test_another_content_type_is_a_415(door: Door, content_type: str) -> None:
    refused(door.send("POST", INGEST, GOOD, content_type=content_type), 415)


@pytest.mark.parametrize("path", ["/api/v1/policies", "/api/v1/actions", "/api/v1/policies/evaluate"])
@pytest.mark.parametrize("content_type", TYPES.values(), ids=TYPES.keys())
def test_and_so_it_is_at_the_other_doors(door: Door, path: str, content_type: str) -> None:
    refused(door.send("POST", path, b"{}", content_type=content_type), 415)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip,gzip", "snappy", "x"])
@pytest.mark.parametrize("path", [INGEST, "/api/v1/policies", "/api/v1/actions"])
def test_an_encoded_body_is_a_415(door: Door, path: str, encoding: str) -> None:
    """H35, H37"""
    headers = door.with_key(Content_Encoding=encoding)
    refused(door.send("POST", path, GOOD, headers=headers), 415)


def test_a_body_over_the_limit_is_a_413(door: Door, settings: LazySettings) -> None:
    """H42"""
    body = b'{"name":"cpu","value":1,"tags":{"host":"' + b"a" * settings.VIGIL_BODY_MAX_BYTES + b'"}}'
    refused(door.send("POST", INGEST, body), 413)


@pytest.mark.parametrize("path", ["/api/v1/policies", "/api/v1/actions", "/api/v1/policies/evaluate"])
def test_also_at_the_other_doors(door: Door, path: str) -> None:
    """H42"""
    refused(door.send("POST", path, b'{"name":"' + b"a" * 2_000_000 + b'"}'), 413)


@pytest.mark.parametrize("wrap", [lambda many: b"[" + many + b"]", lambda many: b'{"metrics":[' + many + b"]}"])
def test_5001_readings_are_a_413(door: Door, wrap: Callable[[bytes], bytes]) -> None:
    """H45"""
    refused(door.send("POST", INGEST, wrap(b",".join([GOOD] * 5_001))), 413)


def test_5001_lines_are_a_413(door: Door) -> None:
    """H45"""
    refused(door.send("POST", INGEST, b"\n".join([GOOD] * 5_001), content_type="application/x-ndjson"), 413)


def test_too_many_new_series_are_a_429_that_says_when_to_come_back(door: Door, settings: LazySettings) -> None:
    """H49"""
    settings.VIGIL_CARDINALITY_MAX = 50
    body = b"[" + b",".join(_tagged("host", f"h{n}") for n in range(51)) + b"]"
    document = refused(door.send("POST", INGEST, body), 429)
    assert document["code"] == "cardinality"


def test_an_idempotency_key_with_another_body_is_a_422(door: Door) -> None:
    """H55"""
    headers = door.with_key(Idempotency_Key="b1")
    assert door.send("POST", INGEST, GOOD, headers=headers).status == 201
    refused(door.send("POST", INGEST, _reading(value="2"), headers=headers), 422)


KEYS = {"201 characters": "k" * 201, "a control character": "a\x01b", "a space": "a b", "umlaut": "ü"}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize(("path", "body"), [(INGEST, GOOD), ("/api/v1/actions", b'{"action":"restart","target":"a"}')])
def test_an_odd_idempotency_key_is_a_422(door: Door, path: str, body: bytes, key: str) -> None:
    """H57"""
    refused(door.send("POST", path, body, headers=door.with_key(Idempotency_Key=key)), 422)


def test_an_empty_one_protects_nothing_and_is_a_422(door: Door) -> None:
    refused(door.send("POST", INGEST, GOOD, headers=door.with_key(Idempotency_Key="")), 422)


def test_a_key_that_looks_like_a_path_is_only_a_key(door: Door) -> None:
    """H57"""
    headers = door.with_key(Idempotency_Key="../../etc/passwd")
    first = door.send("POST", INGEST, GOOD, headers=headers)
    again = door.send("POST", INGEST, GOOD, headers=headers)
    assert (first.status, again.status, again.body, again.left) == (201, 201, first.body, {})


def test_a_key_bound_to_targets_speaks_for_those_alone(door: Door) -> None:
    """H58"""
    bound = doors.of("ingest", targets=["web-*"])
    refused(bound.send("POST", INGEST, _tagged("host", "db-01")), 403)
    refused(bound.send("POST", INGEST, b"[" + _tagged("host", "web-01") + b"," + GOOD + b"]"), 403)
    refused(bound.send("POST", INGEST, b'{"name":"cpu","value":1}'), 403)
    assert bound.send("POST", INGEST, _tagged("host", "web-01")).status == 201


LITERAL = [
    "'; DROP TABLE metrics_series;--",
    "%00",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "{0.__class__}",
    "%(x)s",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "../../etc/passwd",
    "$(reboot)",
    "`id`",
    "Zürich 東京",
]


@pytest.mark.parametrize("value", LITERAL)
def test_what_others_interpret_is_stored_as_it_is(door: Door, value: str) -> None:
    """H59"""
    answer = door.send("POST", INGEST, {"name": "cpu", "value": 1, "tags": {"host": value}})
    assert answer.status == 201
    stored = Series.objects.get()
    assert (stored.tags, stored.target) == ({"host": value}, value)
    shown = door.send("GET", "/api/v1/metrics", content_type="")
    assert shown.document["metrics"][0]["tags"] == {"host": value}


def test_the_largest_legal_batch_is_stored(door: Door) -> None:
    body = b"[" + b",".join(_tagged("host", f"h{n % 200}") for n in range(5_000)) + b"]"
    answer = door.send("POST", INGEST, body)
    assert (answer.status, answer.document["stored"]) == (201, 5_000)
    assert Sample.objects.count() == 5_000


def test_a_bad_batch_is_refused_at_once(door: Door) -> None:
    """Deep, wide and broken bodies of the largest size take linear time."""
    started = time.monotonic()
    for body in (b"[" * 1_000_000, b"[[]," * 250_000, b'"' + b'\\"' * 500_000, b'{"a":1,' * 140_000, b"0" * 1_000_000):
        refused(door.send("POST", INGEST, body), 400)
    assert time.monotonic() - started < 10


def test_a_refused_batch_names_at_most_200_places(door: Door) -> None:
    body = b"[" + b",".join([_reading(value="true")] * 5_000) + b"]"
    assert len(refused(door.send("POST", INGEST, body), 422)["errors"]) == 200


@pytest.mark.parametrize(
    "query", ["atomic=yes", "atomic=1", "atomic=", "atomik=true", "atomic=true&dry_run=1", "%00=1"]
)
def test_an_odd_query_is_a_422(door: Door, query: str) -> None:
    refused(door.send("POST", f"{INGEST}?{query}", GOOD), 422)
