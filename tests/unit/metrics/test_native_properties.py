"""The quick path and the careful path must agree, whatever is sent."""

import contextlib
import json
from datetime import timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from metrics.formats import diagnosis, documents, moments, native
from metrics.formats.reading import Decoded, Reading
from tests.unit.metrics.cast import JSON, NOON
from vigil.kernel.errors import VigilError

SPAN = moments.span(received_at=NOON, retention=timedelta(days=14), future_tolerance=timedelta(seconds=60))
values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(1))
names = st.sampled_from(["cpu", "a.b:c-d", "", "1x", "a b", "ü", "x" * 201]) | st.text(max_size=5)
tags = st.dictionaries(names, st.text(max_size=5) | values, max_size=3)
timestamps = st.sampled_from([1768823940, 1768823940.25, "2026-01-19T12:00:00Z", "2026-01-19T12:00:00", 0, None, True])
items = st.fixed_dictionaries(
    {"name": names, "value": values},
    optional={
        "tags": tags,
        "timestamp": timestamps,
        "type": st.sampled_from(["metric", "event", "x"]),
        "payload": st.dictionaries(st.text(max_size=3), values, max_size=2),
        "extra": values,
    },
)


def carefully(body: bytes) -> Decoded:
    found = documents.read(body, find_double_keys=True)
    assert isinstance(found, list)
    return diagnosis.decoded(found, SPAN, single=False)


@given(st.lists(items, min_size=1, max_size=4))
@example([{"name": "a", "value": 1e308 * 10}])
def test_both_paths_keep_and_refuse_the_same(sent: list[object]) -> None:
    body = json.dumps(sent).encode()
    quick = native.decode(body, content_type=JSON, received_at=NOON, max_items=10, retention=timedelta(days=14))
    assert quick == carefully(body)


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:0eE.-naNIfity\\u \n', max_size=60).map(str.encode))
def test_no_bytes_at_all_bring_the_decoder_down(body: bytes) -> None:
    for content_type in (JSON, "application/x-ndjson"):
        with contextlib.suppress(VigilError):
            native.decode(body, content_type=content_type, received_at=NOON, max_items=10)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_value_arrives_as_it_was_sent(value: float) -> None:
    body = json.dumps({"name": "a", "value": value}).encode()
    ((_, reading),) = native.decode(body, content_type=JSON, received_at=NOON, max_items=1).items
    assert isinstance(reading, Reading)
    assert reading.value == value
