import contextlib
import struct
import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.formats import moments, remote_write
from metrics.formats.reading import Decoded, Reading, Unreadable
from metrics.formats.remote_write import Version
from tests.unit.metrics import wire_out as out
from tests.unit.metrics.cast import NOON
from vigil.kernel.errors import VigilError

SPAN = moments.span(received_at=NOON, retention=timedelta(days=14), future_tolerance=timedelta(seconds=60))
MS = int(NOON.timestamp() * 1000)
CPU = {"__name__": "cpu_usage", "host": "web-01"}
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0_0000_0000_0002))[0]


def decode(message: bytes, form: Version = Version.ONE, *, max_items: int = 5_000) -> Decoded:
    return remote_write.decode(out.snappy(message), form=form, span=SPAN, max_items=max_items, max_bytes=16_000_000)


def values(decoded: Decoded) -> list[tuple[str, dict[str, str], float]]:
    return [(one.name, one.tags, one.value) for _, one in decoded.items if isinstance(one, Reading)]


def two(*labels_and_samples: tuple[dict[str, str], list[tuple[float, int]]]) -> Decoded:
    return decode(out.request_two(labels_and_samples), Version.TWO)


def test_labels_become_tags_and_milliseconds_a_time() -> None:
    decoded = decode(out.series(CPU, (87.5, MS - 250)))
    assert decoded.items == [(0, Reading("cpu_usage", 87.5, {"host": "web-01"}, NOON - timedelta(milliseconds=250)))]


def test_both_versions_tell_the_same() -> None:
    many = [(CPU, [(1.0, MS), (2.0, MS - 15_000)]), ({"__name__": "up", "job": "node"}, [(0.0, MS)])]
    one = decode(b"".join(out.series(labels, *samples) for labels, samples in many))
    assert one == two(*many)
    assert [value for _, _, value in values(one)] == [1.0, 2.0, 0.0]


@pytest.mark.parametrize("form", Version)
@pytest.mark.parametrize("value", [STALE, float("nan"), float("inf"), float("-inf")])
def test_a_stale_marker_and_what_is_not_finite_is_no_data(form: Version, value: float) -> None:
    one = out.series(CPU, (value, MS)) if form is Version.ONE else out.request_two([(CPU, [(value, MS)])])
    decoded = decode(one, form)
    assert (decoded.items, decoded.rejected, decoded.skipped) == ([], [], 1)


def test_an_empty_label_is_no_label() -> None:
    assert values(decode(out.series(CPU | {"zone": ""}, (1, MS)))) == [("cpu_usage", {"host": "web-01"}, 1.0)]


def test_long_labels_and_labels_behind_samples_are_as_good_as_others() -> None:
    long = "v" * 200
    message = out.some(1, out.some(2, out.sample(1, MS)) + out.label("path", long) + out.label("__name__", "cpu"))
    assert values(decode(message)) == [("cpu", {"path": long}, 1.0)]


def test_metadata_exemplars_histograms_and_unknown_fields_are_left_out() -> None:
    told = out.label("__name__", "cpu") + out.some(2, out.sample(1, MS)) + out.some(3, b"exemplar")
    message = out.some(3, b"metadata") + out.some(1, told + out.some(4, b"histogram")) + out.whole(99, 7)
    assert values(decode(message)) == [("cpu", {}, 1.0)]


def test_an_unusual_sample_is_read_as_well() -> None:
    usual = out.some(2, out.sample(5, MS))
    turned = out.some(2, out.whole(2, MS) + out.double(1, 6) + out.whole(3, 1))
    early = out.some(2, out.sample(7, MS) + out.fixed(9, 1))
    message = out.some(1, out.label("__name__", "cpu") + usual + turned + early)
    assert [value for _, _, value in values(decode(message))] == [5, 6, 7]


def test_a_sample_without_a_value_is_zero_as_protocol_buffers_have_it() -> None:
    message = out.some(1, out.label("__name__", "cpu") + out.some(2, out.whole(2, MS)))
    assert values(decode(message)) == [("cpu", {}, 0.0)]


REFUSED_SERIES = {
    "no name": ({"host": "a"}, "labels"),
    "a label without a name": ({"__name__": "a", "": "b"}, "labels"),
    "a reserved label": ({"__name__": "a", "__address__": "b"}, "tags.__address__"),
    "a value too long": ({"__name__": "a", "b": "v" * 257}, "tags.b"),
    "a value with a line break": ({"__name__": "a", "b": "x\ny"}, "tags.b"),
    "a name too long": ({"__name__": "a" * 201}, "name"),
    "33 labels": ({"__name__": "a"} | {f"k{number}": "v" for number in range(33)}, "tags"),
    "100,000 labels": ({"__name__": "a"} | {f"k{number}": "v" for number in range(100_000)}, "labels"),
}


@pytest.mark.parametrize(("labels", "path"), REFUSED_SERIES.values(), ids=REFUSED_SERIES.keys())
def test_a_series_that_cannot_be_kept_is_refused_beside_the_others(labels: dict[str, str], path: str) -> None:
    decoded = decode(out.series(CPU, (1, MS)) + out.series(labels, (2, MS)))
    assert len(decoded.items) == 1
    ((index, error),) = [(item.index, item.errors[0]) for item in decoded.rejected]
    assert (index, error.path) == (1, path)
    if len(labels) < 1_000:
        assert [item.errors[0].path for item in two((CPU, [(1, MS)]), (labels, [(2, MS)])).rejected] == [path]


def test_a_label_that_stands_twice_is_refused() -> None:
    message = out.some(1, out.label("__name__", "a") + out.label("b", "1") * 2 + out.some(2, out.sample(1, MS)))
    assert [item.errors[0].message for item in decode(message).rejected] == ["has the label 'b' twice"]


@pytest.mark.parametrize("ms", [MS + 61_000, MS - 15 * 86_400_000, -1, 0, 2**62, -(2**63)])
def test_a_time_outside_of_what_is_kept_is_refused(ms: int) -> None:
    (rejected,) = decode(out.series(CPU, (1, ms))).rejected
    assert rejected.errors[0].path == "timestamp"


@pytest.mark.parametrize("references", [[1], [1, 2, 3], [1, 99], [9, 9]])
def test_references_that_lead_nowhere_are_refused(references: list[int]) -> None:
    symbols = b"".join(out.some(4, word) for word in ["", "__name__", "cpu", "host"])
    packed = b"".join(map(out.varint, references))
    message = symbols + out.some(5, out.some(1, packed) + out.some(2, out.sample(1, MS)))
    assert [item.errors[0].path for item in decode(message, Version.TWO).rejected] == ["labels"]


def test_references_may_come_one_by_one_and_before_their_symbols() -> None:
    told = out.whole(1, 1) + out.whole(1, 2) + out.some(2, out.sample(1, MS))
    message = out.some(5, told) + b"".join(out.some(4, word) for word in ["", "__name__", "cpu"])
    assert values(decode(message, Version.TWO)) == [("cpu", {}, 1.0)]


BROKEN = {
    "a field that ends early": b"\x0a\x05ab",
    "a key alone": b"\x0a",
    "a group": b"\x0b\x0c",
    "wire type 7": b"\x0f",
    "an endless varint": b"\x08" + b"\xff" * 11,
    "a label that is not UTF-8": out.some(1, out.some(1, out.some(1, b"\xff\xfe")) + out.some(2, out.sample(1, MS))),
    "a label that ends early": out.some(1, b"\x0a\x7f" + b"ab"),
    "a sample that ends early": out.some(1, out.label("__name__", "a") + out.some(2, b"\x09\x00\x00")),
}


@pytest.mark.parametrize("message", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_protocol_buffer_is_a_400_with_a_sentence(message: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(message)
    assert (refused.value.status, refused.value.detail[-1]) == (400, ".")


def test_symbols_begin_with_the_empty_one() -> None:
    message = out.some(4, "__name__") + out.some(5, out.some(2, out.sample(1, MS)))
    with pytest.raises(Unreadable, match="empty text"):
        decode(message, Version.TWO)


def test_more_samples_than_a_request_may_hold_are_refused() -> None:
    message = out.series(CPU, *[(1.0, MS)] * 11)
    assert len(decode(message, max_items=11).items) == 11
    with pytest.raises(Unreadable) as refused:
        decode(message, max_items=10)
    assert refused.value.status == 413


HEADERS = {
    "as Prometheus says it": ("application/x-protobuf", "snappy", Version.ONE),
    "without an encoding": ("application/x-protobuf", "", Version.ONE),
    "1.0 by name": ("application/x-protobuf;proto=prometheus.WriteRequest", "snappy", Version.ONE),
    "2.0": ("application/x-protobuf; proto=io.prometheus.write.v2.Request", "snappy", Version.TWO),
    "another message": ("application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy", None),
    "JSON": ("application/json", "snappy", None),
    "nothing": ("", "snappy", None),
    "gzip": ("application/x-protobuf", "gzip", None),
}


@pytest.mark.parametrize(("content_type", "encoding", "form"), HEADERS.values(), ids=HEADERS.keys())
def test_the_headers_say_which_message_follows(content_type: str, encoding: str, form: Version | None) -> None:
    if form is not None:
        assert remote_write.version(content_type=content_type, encoding=encoding) is form
        return
    with pytest.raises(Unreadable) as refused:
        remote_write.version(content_type=content_type, encoding=encoding)
    assert refused.value.status == 415


HOSTILE = {
    "long labels": (
        out.some(1, out.label("a", "b" * 130) * 20_000 + out.some(2, out.sample(1, MS))),
        Version.ONE,
        None,
    ),
    "short labels": (out.some(1, out.label("a", "b") * 100_000 + out.some(2, out.sample(1, MS))), Version.ONE, None),
    "unknown fields": (out.some(9, b"x" * 1_000_000) + out.whole(9, 1) * 100_000, Version.ONE, None),
    "empty series": (out.some(1, b"") * 400_000, Version.ONE, 413),
    "empty series of 2.0": (out.some(4, "") + out.some(5, b"") * 400_000, Version.TWO, 413),
    "symbols": (out.some(4, "") * 400_000, Version.TWO, 413),
    "empty samples": (out.some(1, out.some(2, b"") * 400_000), Version.ONE, 413),
    "references": (out.some(4, "") + out.some(5, out.some(1, b"\0" * 400_000)), Version.TWO, None),
}


@pytest.mark.parametrize(("message", "form", "status"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_message_takes_little_time(message: bytes, form: Version, status: int | None) -> None:
    started = time.process_time()
    if status is None:
        assert decode(message, form).items == []
    else:
        with pytest.raises(Unreadable) as refused:
            decode(message, form)
        assert refused.value.status == status
    assert time.process_time() - started < 5


@given(st.binary(max_size=300), st.sampled_from(Version))
def test_no_bytes_at_all_bring_the_decoder_down(message: bytes, form: Version) -> None:
    with contextlib.suppress(VigilError):
        decode(message, form)
    with contextlib.suppress(VigilError):
        remote_write.decode(message, form=form, span=SPAN, max_items=10, max_bytes=1_000_000)


@given(st.data(), st.sampled_from(Version))
def test_no_changed_byte_of_a_good_message_brings_the_decoder_down(data: st.DataObject, form: Version) -> None:
    good = out.series(CPU, (1, MS), (2, MS)) if form is Version.ONE else out.request_two([(CPU, [(1, MS), (2, MS)])])
    place = data.draw(st.integers(0, len(good) - 1))
    with contextlib.suppress(VigilError):
        decode(good[:place] + bytes([data.draw(st.integers(0, 255))]) + good[place + 1 :], form)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(MS - 1_000_000_000, MS))
def test_a_value_and_its_time_arrive_as_they_were_sent(value: float, ms: int) -> None:
    ((_, reading),) = decode(out.series(CPU, (value, ms))).items
    assert isinstance(reading, Reading)
    assert reading.value == value
    assert reading.at is not None
    assert round(reading.at.timestamp() * 1000) == ms
