"""Compressed bodies, unpacked no further than a bound: what a few bytes claim to hold is never believed."""

import zlib

import cramjam

from metrics.formats.reading import Unreadable

_GZIP = 16 + zlib.MAX_WBITS
_LENGTH_MOST = 5
"""Bytes of the length that a snappy block begins with."""


def unpacked(body: bytes, *, encoding: str, most: int) -> bytes:
    """`body` out of its Content-Encoding.

    Unreadable: 415 for another than gzip, 413 over `most` bytes, 400 when it is broken.
    """
    said = encoding.strip().lower()
    if said in ("", "identity"):
        return body
    if said in ("gzip", "x-gzip"):
        return gunzipped(body, most=most)
    raise Unreadable(
        f"The Content-Encoding {said[:20]!r} is not taken here; send gzip, or plain bytes.",
        code="unsupported_media_type",
        status=415,
    )


def gunzipped(body: bytes, *, most: int) -> bytes:
    """The content of one gzip stream."""
    stream = zlib.decompressobj(_GZIP)
    try:
        content = stream.decompress(body, most + 1)
    except zlib.error:
        raise Unreadable("The body is not gzip, although its Content-Encoding says so.") from None
    if len(content) > most:
        raise too_large(most)
    if not stream.eof:
        raise Unreadable("The gzip body ends before it is complete.")
    if stream.unused_data:
        raise Unreadable("Something follows the gzip body; send one stream.")
    return content


def unsnapped(body: bytes, *, most: int) -> bytes:
    """The content of a snappy block. Its length stands in front: that is looked at before anything is allocated."""
    if claimed_length(body) > most:
        raise too_large(most)
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError:
        raise Unreadable("The body is no snappy block (the raw format, not the framed one).") from None


def claimed_length(block: bytes) -> int:
    """How many bytes a snappy block says it holds."""
    length = 0
    for place, byte in enumerate(block[:_LENGTH_MOST]):
        length |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return length
    raise Unreadable("The body is no snappy block: it does not begin with a length.")


def too_large(most: int) -> Unreadable:
    """The 413 for a body that unpacks to more than `most` bytes."""
    return Unreadable(f"The body unpacks to more than {most:,} bytes; send less at once.", code="too_large", status=413)
