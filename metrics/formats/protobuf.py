"""The wire format of protocol buffers, as much of it as fixed messages need: places in the bytes, no objects.

Written by hand because it need not trust anybody: nothing is allocated before it is there, nothing recurses, and the
labels of a series, which come again with each request, can be kept by their raw bytes (see remote_write).
"""

import struct
from collections.abc import Iterator

from metrics.formats.reading import Unreadable

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_VARINT_MOST = 10
_SIGN = 1 << 63

_double = struct.Struct("<d")
_unsigned64 = struct.Struct("<Q")


class Broken(Unreadable):
    """The bytes are no protocol buffer."""

    def __init__(self, what: str = "ends in the middle of a field") -> None:
        super().__init__(f"The body is not the protocol buffer it should be: it {what}.")


def fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Each field from `start` to `end`: number, wire type, the value of a VARINT or else from where to where it is."""
    while start < end:
        key, start = varint(data, start, end)
        kind = key & 7
        if kind == VARINT:
            value, start = varint(data, start, end)
            yield key >> 3, kind, value, 0
            continue
        if kind == BYTES:
            length, start = varint(data, start, end)
        elif kind == FIXED64:
            length = 8
        elif kind == FIXED32:
            length = 4
        else:
            raise Broken(f"holds the wire type {kind}")
        if length > end - start:
            raise Broken
        yield key >> 3, kind, start, start + length
        start += length


def varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The number at `start`, without sign, and where the next thing begins."""
    if start < end and data[start] < 0x80:
        return data[start], start + 1
    number = 0
    for place in range(start, min(end, start + _VARINT_MOST)):
        byte = data[place]
        number |= (byte & 0x7F) << (7 * (place - start))
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, place + 1
    raise Broken


def numbers(data: bytes, kind: int, start: int, end: int) -> Iterator[int]:
    """The numbers of a repeated field, packed or one by one."""
    if kind == VARINT:
        yield start  # that is where `fields` puts the value
        return
    while start < end:
        number, start = varint(data, start, end)
        yield number


def signed(number: int) -> int:
    """A varint as an int64."""
    return number - 2 * _SIGN if number >= _SIGN else number


def double(data: bytes, start: int, end: int) -> float:
    """The double at `start`."""
    if end - start != 8:
        raise Broken("holds a double that is not eight bytes")
    value: float = _double.unpack_from(data, start)[0]
    return value


def fixed64(data: bytes, start: int, end: int) -> int:
    """The eight bytes at `start` as a number without sign."""
    if end - start != 8:
        raise Broken("holds a number that is not eight bytes")
    value: int = _unsigned64.unpack_from(data, start)[0]
    return value


def string(data: bytes, start: int, end: int) -> str:
    """The text from `start` to `end`."""
    try:
        return data[start:end].decode()
    except UnicodeDecodeError:
        raise Broken("holds a text that is not UTF-8") from None


def field(number: int, content: bytes) -> bytes:
    """A field of bytes, written."""
    return bytes([number << 3 | BYTES]) + _written(len(content)) + content


def varint_field(number: int, value: int) -> bytes:
    """A field with a number, written."""
    return bytes([number << 3 | VARINT]) + _written(value)


def _written(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
