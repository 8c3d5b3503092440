"""What the door takes for JSON, and the sentence for what it does not."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.http import strict_json
from vigil.kernel.errors import Invalid, VigilError

BAD = {
    "empty": (b"", 400, "empty"),
    "blank": (b" \n", 400, "empty"),
    "truncated": (b'{"a": ', 400, "line 1"),
    "two documents": (b"{} {}", 400, "line 1"),
    "byte order mark": (b"\xef\xbb\xbf{}", 400, "byte order mark"),
    "not UTF-8": (b'{"a": "\xff\xfe"}', 400, "UTF-8"),
    "overlong": (b'{"a": "\xc0\xaf"}', 400, "UTF-8"),
    "NaN": (b'{"a": NaN}', 422, "NaN"),
    "minus infinity": (b'{"a": -Infinity}', 422, "Infinity"),
    "a number too large": (b'{"a": 1e400}', 422, "too large"),
    "a number too long": (b'{"a": ' + b"1" * 5000 + b"}", 422, "5000 characters"),
    "a key given twice": (b'{"name": "a", "name": "b"}', 422, "'name' is given twice"),
    "NUL in a text": (b'{"a": "x\\u0000"}', 422, "NUL"),
    "NUL in a key": (b'{"x\\u0000": 1}', 422, "NUL"),
    "half a surrogate pair": (b'{"a": "\\ud800"}', 422, "surrogate"),
    "33 levels": (b"[" * 33 + b"]" * 33, 400, "deeper than 32"),
    "100,000 open brackets": (b"[" * 100_000, 400, "deeper than 32"),
    "100,000 closed brackets": (b"[" * 100_000 + b"]" * 100_000, 400, "deeper than 32"),
    "100,000 objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400, "deeper than 32"),
}


@pytest.mark.parametrize(("body", "status", "says"), BAD.values(), ids=BAD.keys())
def test_bad_bodies_are_refused_with_a_sentence(body: bytes, status: int, says: str) -> None:
    with pytest.raises(VigilError) as caught:
        strict_json.decode(body)
    assert caught.value.status == status
    assert says in caught.value.detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_what_json_writes_is_read_back(document: Any) -> None:
    assert strict_json.decode(json.dumps(document).encode()) == document


@given(st.binary(max_size=200))
def test_any_bytes_give_a_document_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(VigilError):
        strict_json.decode(body)


class Pair(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: str
    values: list[int] = []


def test_a_wrong_field_is_named_with_its_place() -> None:
    with pytest.raises(Invalid) as caught:
        strict_json.decode_as(b'{"name": "a", "values": [1, true]}', Pair)
    assert caught.value.errors[0].path == "values[1]"


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        strict_json.decode_as(b'{"name": "a", "valeus": []}', Pair)
    assert caught.value.errors[0].path == "valeus"
