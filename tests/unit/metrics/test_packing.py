import gzip
import zlib

import cramjam
import pytest

from metrics.formats import packing
from metrics.formats.reading import Unreadable

MOST = 1_000


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_plain_body_stays_as_it_is(encoding: str) -> None:
    assert packing.unpacked(b"x" * 5_000, encoding=encoding, most=MOST) == b"x" * 5_000


def test_gzip_is_unpacked_up_to_the_bound() -> None:
    assert packing.unpacked(gzip.compress(b"x" * MOST), encoding="gzip", most=MOST) == b"x" * MOST


REFUSED = {
    "a bomb": (gzip.compress(b"0" * 10_000_000), "gzip", 413),
    "one byte over": (gzip.compress(b"x" * (MOST + 1)), "gzip", 413),
    "truncated": (gzip.compress(b"hello")[:-3], "gzip", 400),
    "no content": (b"", "gzip", 400),
    "trailing garbage": (gzip.compress(b"hello") + b"x", "gzip", 400),
    "two streams": (gzip.compress(b"a") + gzip.compress(b"b"), "gzip", 400),
    "no gzip": (b"hello", "gzip", 400),
    "wrong checksum": (gzip.compress(b"hello")[:-8] + b"\0" * 8, "gzip", 400),
    "zlib": (zlib.compress(b"hello"), "gzip", 400),
    "deflate": (zlib.compress(b"hello"), "deflate", 415),
    "brotli": (b"", "br", 415),
    "zstd": (b"", "zstd", 415),
    "twice": (gzip.compress(gzip.compress(b"hello")), "gzip,gzip", 415),
}


@pytest.mark.parametrize(("body", "encoding", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_unpacked_is_refused_with_a_sentence(body: bytes, encoding: str, status: int) -> None:
    with pytest.raises(Unreadable) as refused:
        packing.unpacked(body, encoding=encoding, most=MOST)
    assert refused.value.status == status
    assert refused.value.detail.endswith(".")


def test_a_snappy_block_is_unpacked_up_to_the_bound() -> None:
    block = bytes(cramjam.snappy.compress_raw(b"x" * MOST))
    assert packing.unsnapped(block, most=MOST) == b"x" * MOST


NO_BLOCKS = {
    "empty": (b"", 400),
    "claims 2.5 GiB": (b"\x80\x80\x80\x80\x0a" + b"x" * 42, 413),
    "an endless length": (b"\x80" * 20, 400),
    "one byte over": (bytes(cramjam.snappy.compress_raw(b"x" * (MOST + 1))), 413),
    "framed": (bytes(cramjam.snappy.compress(b"hello")), 400),
    "says more than it holds": (b"\x20" + bytes(cramjam.snappy.compress_raw(b"hello"))[1:], 400),
    "says less than it holds": (b"\x02" + bytes(cramjam.snappy.compress_raw(b"hello"))[1:], 400),
    "truncated": (bytes(cramjam.snappy.compress_raw(b"hello hello hello"))[:-2], 400),
    "copies from before its beginning": (b"\x08\x05\xff\x00\x00", 400),
}


@pytest.mark.parametrize(("body", "status"), NO_BLOCKS.values(), ids=NO_BLOCKS.keys())
def test_what_is_no_snappy_block_is_refused_before_anything_is_allocated(body: bytes, status: int) -> None:
    with pytest.raises(Unreadable) as refused:
        packing.unsnapped(body, most=MOST)
    assert refused.value.status == status
