import contextlib
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.formats import cloudevents, moments
from metrics.formats.reading import Decoded, EventReading, Unreadable
from tests.unit.metrics.cast import NOON
from vigil.kernel.errors import VigilError

SPAN = moments.span(received_at=NOON, retention=timedelta(days=14), future_tolerance=timedelta(seconds=60))
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "A-1",
    "source": "/ci/main",
    "type": "com.example.deploy.failed",
    "time": "2026-01-19T11:59:00Z",
    "host": "web-01",
    "severity": "error",
    "datacontenttype": "application/json",
    "data": {"commit": "ab12"},
}
TAGS = {"source": "/ci/main", "host": "web-01"}


def decode(body: object, sent_as: cloudevents.Mode = "structured", headers: dict[str, str] | None = None) -> Decoded:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return cloudevents.decode(raw, sent_as=sent_as, headers=headers or {}, span=SPAN, max_items=10)


def binary(body: bytes, content_type: str = "application/json", **more: str) -> Decoded:
    attributes = {name: value for name, value in EVENT.items() if name not in ("data", "datacontenttype")} | more
    headers = {f"ce-{name}": value for name, value in attributes.items()} | {"content-type": content_type}
    return decode(body, "binary", headers)


def only(decoded: Decoded) -> EventReading:
    assert decoded.rejected == []
    ((_, event),) = decoded.items
    assert isinstance(event, EventReading)
    return event


def path(decoded: Decoded) -> str:
    ((_, (error,)),) = [(item.index, item.errors) for item in decoded.rejected]
    return error.path


MODES = {
    "structured": lambda: decode(EVENT),
    "binary": lambda: binary(b'{"commit":"ab12"}'),
    "batch": lambda: decode([EVENT], "batch"),
}


@pytest.mark.parametrize("mode", MODES)
def test_all_three_modes_tell_the_same(mode: str) -> None:
    event = only(MODES[mode]())
    assert (event.name, event.severity, event.tags) == ("com.example.deploy.failed", "critical", TAGS)
    assert event.at == NOON - timedelta(minutes=1)
    assert event.payload == {"id": "A-1", "datacontenttype": "application/json", "data": {"commit": "ab12"}}
    assert event.once == "cloudevent /ci/main A-1"


@pytest.mark.parametrize(
    ("content_type", "headers", "mode"),
    [
        ("application/cloudevents+json; charset=utf-8", {}, "structured"),
        ("application/cloudevents-batch+json", {}, "batch"),
        ("text/plain", {"ce-specversion": "1.0"}, "binary"),
        ("application/json", {}, None),
    ],
)
def test_the_headers_say_which_mode_it_is(content_type: str, headers: dict[str, str], mode: str | None) -> None:
    assert cloudevents.mode(content_type, headers) == mode


def test_the_least_there_is() -> None:
    event = only(decode({name: EVENT[name] for name in ("specversion", "id", "source", "type")}))
    assert (event.severity, event.at, event.payload) == ("info", None, {"id": "A-1"})


def test_extensions_are_tags_whatever_they_are() -> None:
    event = only(decode(EVENT | {"subject": "shop", "attempt": 3, "dryrun": True, "odd": None}))
    assert event.tags == TAGS | {"subject": "shop", "attempt": "3", "dryrun": "true"}


DATA = {
    "text": (b"hello", "text/plain; charset=utf-8", {"data": "hello"}),
    "JSON of another name": (b"[1]", "application/vnd.x+json", {"data": [1]}),
    "bytes": (b"\xff\xfe", "application/octet-stream", {"data_left_out": "is binary"}),
    "nothing": (b"", "", {}),
}


@pytest.mark.parametrize(("body", "content_type", "kept"), DATA.values(), ids=DATA.keys())
def test_binary_mode_carries_data_of_any_type(body: bytes, content_type: str, kept: dict[str, object]) -> None:
    said = {"datacontenttype": content_type} if content_type else {}
    assert only(binary(body, content_type)).payload == {"id": "A-1"} | said | kept


def test_headers_are_percent_encoded() -> None:
    assert only(binary(b"", subject="Z%C3%BCrich%20main")).tags == TAGS | {"subject": "Zürich main"}


@pytest.mark.parametrize("data", ["x" * 17_000, {"a": "\0"}, 2**70])
def test_data_that_cannot_be_kept_does_not_cost_the_event(data: object) -> None:
    payload = only(decode(EVENT | {"data": data})).payload
    assert "data" not in payload
    assert payload["data_left_out"]


BAD = {
    "no id": ({"id": ""}, "id"),
    "no source": ({"source": None}, "source"),
    "no type": ({"type": {}}, "type"),
    "another version": ({"specversion": "0.3"}, "specversion"),
    "a time without a zone": ({"time": "2026-01-19T11:59:00"}, "time"),
    "a time of the future": ({"time": "2026-01-19T13:00:00Z"}, "time"),
    "an attribute in capitals": ({"Host": "a"}, "Host"),
    "a type too long": ({"type": "x" * 201}, "name"),
    "a tag too long": ({"subject": "x" * 257}, "tags.subject"),
}


@pytest.mark.parametrize(("more", "where"), BAD.values(), ids=BAD.keys())
def test_an_event_that_is_none_is_refused_beside_the_others(more: dict[str, Any], where: str) -> None:
    decoded = decode([EVENT, EVENT | more], "batch")
    assert (len(decoded.items), path(decoded)) == (1, where)


@pytest.mark.parametrize("mode", ["structured", "batch"])
@pytest.mark.parametrize("body", [b"", b"{", b"1", b"null", b"[" * 100_000, b"\xff"])
def test_what_is_no_event_is_a_400_with_a_sentence(mode: cloudevents.Mode, body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(body, mode)
    assert (refused.value.status, refused.value.detail[-1]) == (400, ".")


@pytest.mark.parametrize("body", [[EVENT] * 11, [{}] * 20_000])
def test_too_many_events_are_a_413(body: object) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(body, "batch")
    assert refused.value.status == 413


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)


@given(anything, st.sampled_from([*EVENT, "subject", "data_base64"]), st.binary(max_size=20))
def test_no_event_brings_the_decoder_down(value: object, field: str, body: bytes) -> None:
    with contextlib.suppress(VigilError):
        decode([EVENT | {field: value}, value], "batch")
    with contextlib.suppress(VigilError):
        binary(body, **{field: str(value)})
