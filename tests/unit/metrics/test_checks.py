import contextlib
import json
import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.formats import checks, moments
from metrics.formats.reading import Decoded, Reading, Unreadable
from tests.unit.metrics.cast import NOON
from vigil.kernel.errors import VigilError

SPAN = moments.span(received_at=NOON, retention=timedelta(days=14), future_tolerance=timedelta(seconds=60))
DISK: dict[str, Any] = {"host": "web-01", "service": "disk", "state": 2}
TAGS = {"host": "web-01", "check": "disk"}


def decode(body: object, content_type: str = checks.JSON) -> Decoded:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return checks.decode(raw, content_type=content_type, span=SPAN, max_items=100)


def lines(text: str) -> Decoded:
    return decode(text.encode(), checks.LINES)


def values(decoded: Decoded) -> list[tuple[str, dict[str, str], float]]:
    assert decoded.rejected == []
    return [(one.name, one.tags, one.value) for _, one in decoded.items if isinstance(one, Reading)]


SPELLINGS = {
    "plain": DISK,
    "a list": [DISK],
    "Icinga 2": {"host": "web-01", "service": "disk", "exit_status": 2, "plugin_output": "CRITICAL"},
    "Nagios": {"host_name": "web-01", "service_description": "disk", "return_code": "2", "plugin_output": "x"},
    "by name": {"hostname": "web-01", "servicename": "disk", "state": "critical"},
    "NRDP": {
        "checkresults": [
            {
                "checkresult": {"type": "service"},
                "hostname": "web-01",
                "servicename": "disk",
                "state": "2",
                "output": "x",
            }
        ]
    },
}


@pytest.mark.parametrize("document", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_result_in_any_spelling_is_a_state(document: object) -> None:
    assert values(decode(document)) == [("check_state", TAGS, 2.0)]


def test_a_line_is_a_result_of_a_service_or_of_a_host() -> None:
    decoded = lines("web-01\tdisk\t1\tDISK WARNING\n\nweb-02\t0\tPING OK\r\n")
    assert values(decoded) == [
        ("check_state", TAGS, 1.0),
        ("check_state", {"host": "web-02", "check": "hostalive"}, 0.0),
    ]


STATES = {0: 0.0, "1": 1.0, 2: 2.0, "OK": 0.0, "up": 0.0, "WARNING": 1.0, "Down": 2.0}


@pytest.mark.parametrize(("state", "value"), STATES.items(), ids=map(str, STATES))
def test_a_state_is_a_number_or_a_word(state: object, value: float) -> None:
    assert values(decode(DISK | {"state": state})) == [("check_state", TAGS, value)]


@pytest.mark.parametrize("state", [3, "3", "UNKNOWN"])
def test_unknown_is_no_state(state: object) -> None:
    decoded = decode(DISK | {"state": state})
    assert (decoded.items, decoded.skipped, decoded.rejected) == ([], 1, [])


PERFORMANCE = {
    "one": ("time=0.5s;1;2;0", [("time", "s", 0.5)]),
    "several": ("/=2643MB;5948;5958;0;5968 /boot=68MB;88;93;0;98", [("/", "MB", 2643), ("/boot", "MB", 68)]),
    "a label in quotes": ("'C:\\ Label it''s'=9%", [("C:\\ Label it's", "%", 9)]),
    "without a unit": ("users=3", [("users", None, 3)]),
    "a comma for a point": ("load=0,25", [("load", None, 0.25)]),
    "unknown": ("a=U b=1", [("b", None, 1)]),
    "up to what cannot be read": ("a=1 b=x c=2", [("a", None, 1)]),
    "nothing": ("", []),
}


@pytest.mark.parametrize(("text", "found"), PERFORMANCE.values(), ids=PERFORMANCE.keys())
def test_performance_data_is_readings(text: str, found: list[tuple[str, str | None, float]]) -> None:
    for more in ({"output": f"DISK OK | {text}"}, {"perfdata": text}, {"performance_data": text.split(" ")}):
        if "'" in text and "performance_data" in more:
            continue
        told = [
            (tags["label"], tags.get("unit"), value)
            for name, tags, value in values(decode(DISK | more))
            if name == "check_perf"
        ]
        assert told == found


@pytest.mark.parametrize("timestamp", ["2026-01-19T11:59:00Z", int(NOON.timestamp()) - 60])
def test_a_result_may_say_when_it_was(timestamp: object) -> None:
    ((_, reading),) = decode(DISK | {"timestamp": timestamp}).items
    assert reading.at == NOON - timedelta(minutes=1)


BAD = {
    "no host": ({"host": None}, ""),
    "no state": ({"state": None}, ""),
    "another state": ({"state": 4}, "state"),
    "a state that is none": ({"state": 0.5}, ""),
    "a time without a zone": ({"timestamp": "2026-01-19T11:59:00"}, "timestamp"),
    "a host too long": ({"host": "x" * 257}, "tags.host"),
}


@pytest.mark.parametrize(("more", "path"), BAD.values(), ids=BAD.keys())
def test_a_bad_result_is_refused_beside_the_others(more: dict[str, Any], path: str) -> None:
    decoded = decode([DISK, DISK | more])
    assert [(item.index, item.errors[0].path) for item in decoded.rejected] == [(1, path)]
    assert len(decoded.items) == 1


def test_a_bad_line_is_refused_beside_the_others() -> None:
    assert [item.index for item in lines("web-01\t0\tok\nhello\na\tb\tc\td\n").rejected] == [1, 2]


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"1", b"[" * 100_000, b'{"checkresults":1}', b"\xff"])
def test_what_is_something_else_is_a_400_with_a_sentence(body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(body)
    assert (refused.value.status, refused.value.detail[-1]) == (400, ".")


@pytest.mark.parametrize(
    "output", ["| " + "a=1 " * 100_000, "| " + "'" * 1_000_000, "| " + "a" * 1_000_000, "|" * 100_000]
)
def test_a_flood_takes_little_time(output: str) -> None:
    started = time.process_time()
    with contextlib.suppress(VigilError):
        decode(DISK | {"output": output})
    assert time.process_time() - started < 3


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)


@given(anything, st.sampled_from([*DISK, "output", "perfdata", "timestamp", "checkresult"]), st.binary(max_size=50))
def test_nothing_brings_the_decoder_down(value: object, field: str, body: bytes) -> None:
    for document in (DISK | {field: value}, [value], {"checkresults": value}):
        with contextlib.suppress(VigilError):
            decode(document)
    with contextlib.suppress(VigilError):
        decode(body, checks.LINES)
