import contextlib
import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from metrics.formats import exposition, moments
from metrics.formats.reading import Decoded, Reading, Unreadable
from tests.unit.metrics.cast import NOON
from vigil.kernel.errors import VigilError

SPAN = moments.span(received_at=NOON, retention=timedelta(days=14), future_tolerance=timedelta(seconds=60))
SECONDS = int(NOON.timestamp()) - 60


def decode(body: str | bytes, *, openmetrics: bool = False, most: int = 100, **tags: str) -> Decoded:
    raw = body.encode() if isinstance(body, str) else body
    return exposition.decode(raw, openmetrics=openmetrics, tags=tags, span=SPAN, max_items=most)


def values(decoded: Decoded) -> list[tuple[str, dict[str, str], float]]:
    assert decoded.rejected == []
    return [(one.name, one.tags, one.value) for _, one in decoded.items if isinstance(one, Reading)]


LINES = {
    "plain": ("up 1", [("up", {}, 1)]),
    "labels": ('http{code="200",method="get"} 3.5e2', [("http", {"code": "200", "method": "get"}, 350)]),
    "a comma at the end": ('http{code="200",} 1', [("http", {"code": "200"}, 1)]),
    "room everywhere": ('  http { code = "200" , a="b" }  1 ', [("http", {"code": "200", "a": "b"}, 1)]),
    "no labels in braces": ("up{} 1", [("up", {}, 1)]),
    "escapes": (r'disk{path="C:\\dir \"x\""} 1', [("disk", {"path": 'C:\\dir "x"'}, 1)]),
    "braces and a hash in a label": ('a{b="{#}"} 1', [("a", {"b": "{#}"}, 1)]),
    "comments": ("# HELP up x\n# TYPE up gauge\n\nup 1\n# EOF\n", [("up", {}, 1)]),
    "Windows line ends": ("a 1\r\nb 2\r\n", [("a", {}, 1), ("b", {}, 2)]),
    "an exemplar": ('a_bucket{le="1"} 2 # {trace="x"} 0.5', [("a_bucket", {"le": "1"}, 2)]),
    "a colon": ("job:up:sum 1", [("job:up:sum", {}, 1)]),
}


@pytest.mark.parametrize(("body", "found"), LINES.values(), ids=LINES.keys())
def test_a_line_becomes_a_reading(body: str, found: list[object]) -> None:
    assert values(decode(body)) == found


@pytest.mark.parametrize("value", ["NaN", "nan", "+Inf", "-Inf", "Inf"])
def test_what_is_not_finite_is_skipped(value: str) -> None:
    decoded = decode(f"up {value}")
    assert (decoded.items, decoded.rejected, decoded.skipped) == ([], [], 1)


def test_times_are_in_milliseconds_and_in_seconds_in_openmetrics() -> None:
    for body, openmetrics in ((f"up 1 {SECONDS}000", False), (f"up 1 {SECONDS}.000", True)):
        ((_, reading),) = decode(body, openmetrics=openmetrics).items
        assert reading.at == NOON - timedelta(minutes=1)


def test_tags_of_the_address_are_for_samples_without_them() -> None:
    assert values(decode('a 1\nb{host="own"} 2', host="web-01")) == [
        ("a", {"host": "web-01"}, 1),
        ("b", {"host": "own"}, 2),
    ]


def test_what_the_official_client_writes_is_read() -> None:
    registry = CollectorRegistry()
    Counter("jobs", 'Jobs "done"\nand more', ["kind"], registry=registry).labels('a"b\\c').inc(3)
    Gauge("temperature", "Now", registry=registry).set(-1.5)
    Histogram("wait_seconds", "Waits", registry=registry, buckets=(0.5, 1)).observe(0.75)
    for text, openmetrics in (
        (generate_latest(registry), False),
        (generate_openmetrics(registry), True),  # type: ignore[no-untyped-call]
    ):
        found = {(name, tags.get("le")): value for name, tags, value in values(decode(text, openmetrics=openmetrics))}
        assert found["jobs_total", None] == 3
        assert found["temperature", None] == -1.5
        assert (found["wait_seconds_bucket", "0.5"], found["wait_seconds_bucket", "+Inf"]) == (0, 1)


BAD = {
    "no value": "up",
    "a word": "up yes",
    "underscores": "up 1_000",
    "hexadecimal": "up 0x10",
    "two values": "up 1 2 3",
    "a label without quotes": "a{b=c} 1",
    "a label without an end": 'a{b="c} 1',
    "a brace without an end": 'a{b="c" 1',
    "a label twice": 'a{b="1",b="2"} 1',
    "a name in quotes": '{"my.metric"} 1',
    "a time of the future": f"up 1 {SECONDS + 200}000",
    "a time in seconds": f"up 1 {SECONDS}",
    "a label with a line break": 'a{b="x\\ny"} 1',
    "a reserved label": 'a{__b="x"} 1',
    "a label too long": f'a{{b="{"x" * 257}"}} 1',
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD.keys())
def test_a_bad_line_is_refused_and_the_others_are_kept(line: str) -> None:
    decoded = decode(f"a 1\n{line}\nb 2")
    assert [index for index, _ in decoded.items] == [0, 2]
    assert [item.index for item in decoded.rejected] == [1]


def test_what_is_not_utf8_is_a_400_and_too_much_a_413() -> None:
    for body, status in ((b'a{b="\xff"} 1', 400), (b"a 1\n" * 101, 413), (b"x\n" * 101, 413)):
        with pytest.raises(Unreadable) as refused:
            decode(body)
        assert refused.value.status == status


FLOODS = [
    "\n" * 1_000_000,
    "#\n" * 500_000,
    "a" * 1_000_000,
    "a{" * 500_000,
    'a{b="' + "\\" * 1_000_000,
    "a " * 500_000,
]
FLOODS += [
    "a{" + 'b="c",' * 150_000 + "} 1",
    "a{" + "," * 1_000_000 + "} 1",
    "a " + "1" * 1_000_000,
    " " * 1_000_000 + "a",
]


@pytest.mark.parametrize("body", FLOODS, ids=range(len(FLOODS)))
def test_a_flood_takes_little_time(body: str) -> None:
    started = time.process_time()
    with contextlib.suppress(VigilError):
        decode(body)
    assert time.process_time() - started < 3


@given(st.binary(max_size=100) | st.text(alphabet='ab{}=," \\\n#1.eN+-', max_size=80).map(str.encode))
def test_no_bytes_at_all_bring_the_decoder_down(body: bytes) -> None:
    with contextlib.suppress(VigilError):
        decode(body)
