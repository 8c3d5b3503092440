import contextlib
import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.formats import influx, moments
from metrics.formats.reading import Decoded, Reading, Unreadable
from tests.unit.metrics.cast import NOON
from vigil.kernel.errors import VigilError

SPAN = moments.span(received_at=NOON, retention=timedelta(days=14), future_tolerance=timedelta(seconds=60))
SECONDS = int(NOON.timestamp())


def decode(body: str | bytes, precision: str = "ns", *, max_items: int = 5_000) -> Decoded:
    raw = body.encode() if isinstance(body, str) else body
    return influx.decode(raw, precision=precision, span=SPAN, max_items=max_items)


def values(body: str) -> list[tuple[str, dict[str, str], float]]:
    decoded = decode(body)
    assert decoded.rejected == []
    return [(one.name, one.tags, one.value) for _, one in decoded.items if isinstance(one, Reading)]


LINES = {
    "a field called value": ("cpu value=1", [("cpu", {}, 1)]),
    "two fields": (
        "cpu,host=a usage=1.5,idle=98",
        [("cpu_usage", {"host": "a"}, 1.5), ("cpu_idle", {"host": "a"}, 98)],
    ),
    "an integer": ("cpu n=3i", [("cpu_n", {}, 3)]),
    "a negative integer": ("cpu n=-3i", [("cpu_n", {}, -3)]),
    "an unsigned one": ("cpu n=18446744073709551615u", [("cpu_n", {}, 18446744073709551615.0)]),
    "an exponent": ("cpu n=-1.5e-3", [("cpu_n", {}, -0.0015)]),
    "no digit before the point": ("cpu n=.5", [("cpu_n", {}, 0.5)]),
    "booleans": ("cpu a=t,b=FALSE,c=True", [("cpu_a", {}, 1), ("cpu_b", {}, 0), ("cpu_c", {}, 1)]),
    "escapes in tags": (r"cpu,my\ tag=a\,b\=c\ d value=1", [("cpu", {"my_tag": "a,b=c d"}, 1)]),
    "escapes in the measurement": (r"my\ cpu\,x value=1", [("my_cpu_x", {}, 1)]),
    "escapes in a field": (r"cpu my\ field\=x=1", [("cpu_my_field_x", {}, 1)]),
    "a backslash that escapes nothing": (r"cpu,path=C:\dir value=1", [("cpu", {"path": r"C:\dir"}, 1)]),
    "quotes in a tag are letters": ('cpu,note="x" value=1', [("cpu", {"note": '"x"'}, 1)]),
    "an equals sign in the measurement": ("a=b value=1", [("a_b", {}, 1)]),
    "comments and blank lines": ("# hello\n\n  \ncpu value=1\r\n#end", [("cpu", {}, 1)]),
    "no line break at the end": ("cpu value=1\ncpu value=2", [("cpu", {}, 1), ("cpu", {}, 2)]),
    "unicode": ("cpu,city=Zürich value=1", [("cpu", {"city": "Zürich"}, 1)]),
}


@pytest.mark.parametrize(("body", "found"), LINES.values(), ids=LINES.keys())
def test_a_line_becomes_readings(body: str, found: list[object]) -> None:
    assert values(body) == found


def test_texts_are_no_numbers_and_may_hold_anything() -> None:
    decoded = decode('log,host=a msg="a, b=c \\"d\\"\nnot a line",n=1i\ncpu value=2')
    assert [(index, one.name) for index, one in decoded.items] == [(0, "log_n"), (1, "cpu")]
    assert decoded.skipped == 1


TIMES = {"ns": 10**9, "n": 10**9, "us": 10**6, "u": 10**6, "µ": 10**6, "ms": 1000, "s": 1}


@pytest.mark.parametrize(("precision", "factor"), TIMES.items(), ids=TIMES.keys())
def test_a_time_is_in_the_unit_of_its_precision(precision: str, factor: int) -> None:
    ((_, reading),) = decode(f"cpu value=1 {(SECONDS - 60) * factor}", precision).items
    assert reading.at == NOON - timedelta(minutes=1)


@pytest.mark.parametrize(("precision", "seconds"), [("m", 60), ("h", 3600)])
def test_minutes_and_hours_are_units_too(precision: str, seconds: int) -> None:
    ((_, reading),) = decode(f"cpu value=1 {SECONDS // seconds}", precision).items
    assert reading.at == NOON


def test_without_a_time_the_arrival_counts() -> None:
    ((_, reading),) = decode("cpu value=1").items
    assert reading.at is None


BAD = {
    "no fields": "cpu",
    "no value": "cpu value=",
    "no field": "cpu =1",
    "a comma too much": "cpu a=1,",
    "NaN": "cpu a=NaN",
    "a word": "cpu a=high",
    "hexadecimal": "cpu a=0x10",
    "underscores": "cpu a=1_000",
    "two numbers": "cpu a=1.2.3",
    "a tag without a value": "cpu,host value=1",
    "a tag without a key": "cpu,=a value=1",
    "no measurement": ",host=a value=1",
    "a text without end": 'cpu a="x',
    "a time that is none": "cpu a=1 yesterday",
    "a time too long": "cpu a=1 111111111111111111111",
    "a time of the future": f"cpu a=1 {(SECONDS + 61) * 10**9}",
    "a time in seconds": f"cpu a=1 {SECONDS}",
    "more behind the time": f"cpu a=1 {SECONDS * 10**9} x",
    "a tag value too long": f"cpu,host={'v' * 257} a=1",
    "a reserved tag": "cpu,__name__=x a=1",
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD.keys())
def test_a_bad_line_is_refused_and_the_others_are_kept(line: str) -> None:
    decoded = decode(f"up value=1\n{line}\nup value=2")
    assert [index for index, _ in decoded.items][:1] == [0]
    assert [item.index for item in decoded.rejected] == [1]


def test_a_body_that_is_not_utf8_is_a_400() -> None:
    with pytest.raises(Unreadable) as refused:
        decode(b"cpu,host=\xff value=1")
    assert refused.value.status == 400


def test_every_field_counts() -> None:
    assert len(decode("cpu a=1,b=2,c=3", max_items=3).items) == 3
    with pytest.raises(Unreadable) as refused:
        decode("cpu a=1,b=2,c=3", max_items=2)
    assert refused.value.status == 413


FLOODS = ["\n" * 1_000_000, "#\n" * 500_000, "a" * 1_000_000, "\\" * 1_000_000, "a " * 500_000, "a,b=c" * 200_000]
FLOODS += [
    'a b="' + "x" * 1_000_000,
    "a " + "b=1," * 250_000,
    'a b="' * 200_000,
    "a b=1 " + "1" * 1_000_000,
    " " * 1_000_000,
]


@pytest.mark.parametrize("body", FLOODS, ids=range(len(FLOODS)))
def test_a_flood_takes_little_time(body: str) -> None:
    started = time.process_time()
    with contextlib.suppress(VigilError):
        decode(body)
    assert time.process_time() - started < 3


@given(st.binary(max_size=100) | st.text(alphabet='ab,= \\"\n#1ietT.-', max_size=80).map(str.encode))
def test_no_bytes_at_all_bring_the_decoder_down(body: bytes) -> None:
    with contextlib.suppress(VigilError):
        decode(body)


texts = st.text(alphabet="ab ,=\\é", min_size=1, max_size=8).filter(lambda text: text.strip() and text[-1] != "\\")


@given(texts, st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_written_with_escapes_is_read_without(tag: str, value: float) -> None:
    escaped = tag.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")
    assert values(f"cpu,tag={escaped} value={value!r}") == [("cpu", {"tag": tag}, value)]
