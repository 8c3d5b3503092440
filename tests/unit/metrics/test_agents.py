"""Telegraf's JSON, collectd's value lists, and the reports of the earlier agents."""

import contextlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.formats import agent, collectd, moments, telegraf
from metrics.formats.reading import Decoded, Reading, Unreadable
from tests.unit.metrics.cast import NOON
from vigil.kernel.errors import VigilError

SPAN = moments.span(received_at=NOON, retention=timedelta(days=14), future_tolerance=timedelta(seconds=60))
SECONDS = int(NOON.timestamp()) - 60
EARLIER = NOON - timedelta(minutes=1)


def _raw(document: object) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def of_telegraf(document: object, unit: str = "s", most: int = 100) -> Decoded:
    return telegraf.decode(_raw(document), unit=unit, span=SPAN, max_items=most)


def of_collectd(document: object, most: int = 100) -> Decoded:
    return collectd.decode(_raw(document), span=SPAN, max_items=most)


def of_agent(document: object, most: int = 100) -> Decoded:
    return agent.decode(_raw(document), span=SPAN, max_items=most)


def values(decoded: Decoded) -> list[tuple[str, dict[str, str], float]]:
    assert decoded.rejected == []
    return [(one.name, one.tags, one.value) for _, one in decoded.items if isinstance(one, Reading)]


def places(decoded: Decoded) -> list[tuple[int, str]]:
    return [(item.index, item.errors[0].path) for item in decoded.rejected]


CPU: dict[str, Any] = {"name": "cpu", "tags": {"host": "a"}, "fields": {"idle": 12.5}, "timestamp": SECONDS}


@pytest.mark.parametrize("document", [CPU, {"metrics": [CPU]}], ids=["one", "a batch"])
def test_a_field_of_telegraf_is_a_reading(document: object) -> None:
    assert of_telegraf(document).items == [(0, Reading("cpu_idle", 12.5, {"host": "a"}, EARLIER))]


def test_fields_of_telegraf_by_their_sort() -> None:
    fields = {"value": 1, "on": True, "off": False, "note": "x", "none": None}
    decoded = of_telegraf(CPU | {"fields": fields})
    assert [(name, value) for name, _, value in values(decoded)] == [("cpu", 1.0), ("cpu_on", 1.0), ("cpu_off", 0.0)]
    assert decoded.skipped == 2


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_telegraf_may_be_told_another_unit(unit: str, factor: int) -> None:
    ((_, reading),) = of_telegraf(CPU | {"timestamp": SECONDS * factor}, unit).items
    assert reading.at == EARLIER


def test_a_bad_metric_of_telegraf_is_refused_beside_the_others() -> None:
    sent = [CPU, {"name": "x"}, 1, CPU | {"fields": {"a": [1]}}, CPU | {"timestamp": SECONDS + 200}, CPU]
    decoded = of_telegraf({"metrics": sent})
    assert [index for index, _ in decoded.items] == [0, 5]
    assert places(decoded) == [(1, ""), (2, ""), (3, ""), (4, "timestamp")]


LOAD: dict[str, Any] = {
    "values": [0.5, 0.25],
    "dstypes": ["gauge", "gauge"],
    "dsnames": ["shortterm", "midterm"],
    "time": SECONDS,
    "interval": 10,
    "host": "a",
    "plugin": "load",
    "plugin_instance": "",
    "type": "load",
    "type_instance": "",
}
DISK = LOAD | {"values": [7], "dsnames": ["value"], "plugin": "df", "plugin_instance": "root", "type": "df_complex"}


def test_a_value_list_of_collectd_is_a_reading_for_each_source() -> None:
    assert of_collectd([LOAD]).items == [
        (0, Reading("load_shortterm", 0.5, {"host": "a"}, EARLIER)),
        (0, Reading("load_midterm", 0.25, {"host": "a"}, EARLIER)),
    ]


@pytest.mark.parametrize(
    ("more", "name", "tags"),
    [
        ({}, "df_complex", {"plugin_instance": "root"}),
        ({"type": "gauge", "type_instance": "free"}, "df_gauge", {"plugin_instance": "root", "type_instance": "free"}),
        (
            {"plugin": "interface", "type": "if_octets", "dsnames": ["rx"], "plugin_instance": ""},
            "interface_if_octets_rx",
            {},
        ),
    ],
)
def test_plugin_type_and_source_make_the_name(more: dict[str, Any], name: str, tags: dict[str, str]) -> None:
    assert values(of_collectd([DISK | more])) == [(name, {"host": "a"} | tags, 7.0)]


def test_a_value_that_collectd_lacks_is_skipped() -> None:
    decoded = of_collectd([LOAD | {"values": [None, 1]}])
    assert ([name for name, _, _ in values(decoded)], decoded.skipped) == (["load_midterm"], 1)


def test_a_bad_value_list_is_refused_beside_the_others() -> None:
    decoded = of_collectd([LOAD, LOAD | {"values": [1]}, {"host": "a"}, "x", LOAD | {"time": SECONDS * 1000}])
    assert places(decoded) == [(1, "dsnames"), (2, ""), (3, ""), (4, "timestamp"), (4, "timestamp")]


REPORT: dict[str, Any] = {"hostname": "web-01", "metrics": {"cpu_usage": 87.5}, "agent_version": "1.2.0"}


@pytest.mark.parametrize("timestamp", [SECONDS, "2026-01-19T11:59:00Z", "2026-01-19T12:59:00+01:00"])
def test_a_report_of_an_agent_is_about_its_host(timestamp: object) -> None:
    decoded = of_agent(REPORT | {"timestamp": timestamp})
    assert decoded.items == [(0, Reading("cpu_usage", 87.5, {"host": "web-01"}, EARLIER))]


@pytest.mark.parametrize("timestamp", [None, "2026-01-19T11:59:00", "2026-01-19 11:59:00.123456"])
def test_a_time_without_a_zone_is_none(timestamp: object) -> None:
    ((_, reading),) = of_agent(REPORT | {"timestamp": timestamp}).items
    assert reading.at is None


def test_metrics_of_an_agent_by_their_sort() -> None:
    decoded = of_agent(REPORT | {"metrics": {"a": 1, "b": True, "c": None, "d": "x", "e": {"f": 1}, "g h": 2}})
    assert [(one.name, one.value) for _, one in decoded.items if isinstance(one, Reading)] == [
        *(("a", 1.0), ("b", 1.0), ("g_h", 2.0)),
    ]
    assert (places(decoded), decoded.skipped) == ([(3, "metrics.d"), (4, "metrics.e")], 1)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"hostname": " "}, "hostname"),
        ({"timestamp": SECONDS * 1000}, "timestamp"),
        ({"timestamp": "now"}, "timestamp"),
    ],
)
def test_a_report_that_cannot_be_placed_is_a_422(more: dict[str, Any], path: str) -> None:
    with pytest.raises(Unreadable) as refused:
        of_agent(REPORT | more)
    assert (refused.value.status, [error.path for error in refused.value.errors]) == (422, [path])


all_three = pytest.mark.parametrize("decode", [of_telegraf, of_collectd, of_agent])
BROKEN = [
    b"",
    b"{",
    b"null",
    b"1",
    b'"x"',
    b"[" * 100_000,
    b'{"metrics":' * 1_000,
    b"\xff",
    b'{"metrics":1}',
    b"[1e999999]",
]


@all_three
@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
def test_what_is_something_else_is_a_400_with_a_sentence(decode: Callable[[object], Decoded], body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(body)
    assert (refused.value.status, refused.value.detail[-1]) == (400, ".")


@pytest.mark.parametrize(
    ("decode", "document"),
    [
        (of_telegraf, {"metrics": [CPU] * 101}),
        (of_collectd, [LOAD] * 51),
        (of_agent, REPORT | {"metrics": {f"m{number}": 1 for number in range(101)}}),
        (of_collectd, [{}] * 100_000),
    ],
)
def test_too_much_is_a_413(decode: Callable[[object], Decoded], document: object) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(document)
    assert refused.value.status == 413


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from([*CPU, *LOAD, *REPORT, "timestamp"])


@given(anything, fields)
def test_no_document_brings_a_decoder_down(value: object, field: str) -> None:
    sent: list[tuple[Callable[[object], Decoded], object]] = [
        (of_telegraf, {"metrics": [CPU | {field: value}]}),
        (of_telegraf, CPU | {field: value}),
        (of_collectd, [LOAD | {field: value}]),
        (of_agent, REPORT | {field: value}),
    ]
    for decode, document in sent:
        with contextlib.suppress(VigilError):
            decode(document)
