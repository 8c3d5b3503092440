"""Protocol buffers as a sender writes them, field by field, so that a test can also write them wrongly."""

import struct
from collections.abc import Mapping, Sequence

import cramjam


def varint(number: int) -> bytes:
    """A number of up to 64 bits; a negative one as its two's complement."""
    number &= 0xFFFF_FFFF_FFFF_FFFF
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def whole(number: int, value: int) -> bytes:
    """A varint field."""
    return varint(number << 3) + varint(value)


def double(number: int, value: float) -> bytes:
    """A double field."""
    return varint(number << 3 | 1) + struct.pack("<d", value)


def fixed(number: int, value: int) -> bytes:
    """A fixed64 field."""
    return varint(number << 3 | 1) + struct.pack("<Q", value)


def some(number: int, content: bytes | str) -> bytes:
    """A field of bytes, a text or a message."""
    raw = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def sample(value: float, milliseconds: int) -> bytes:
    """Remote write's Sample."""
    return double(1, value) + whole(2, milliseconds)


def label(name: str, value: str) -> bytes:
    """Remote write 1.0's Label, as a field of its series."""
    return some(1, some(1, name) + some(2, value))


def series(labels: Mapping[str, str], *samples: tuple[float, int]) -> bytes:
    """Remote write 1.0's TimeSeries, as a field of its request."""
    told = b"".join(label(name, value) for name, value in labels.items())
    return some(1, told + b"".join(some(2, sample(*one)) for one in samples))


def request_two(many: Sequence[tuple[Mapping[str, str], Sequence[tuple[float, int]]]]) -> bytes:
    """Remote write 2.0's Request."""
    symbols = [""]
    told = b""
    for labels, samples in many:
        words = [word for pair in labels.items() for word in pair]
        symbols.extend(word for word in words if word not in symbols)
        references = b"".join(varint(symbols.index(word)) for word in words)
        told += some(5, some(1, references) + b"".join(some(2, sample(*one)) for one in samples))
    return b"".join(some(4, symbol) for symbol in symbols) + told


def snappy(message: bytes) -> bytes:
    """As a snappy block."""
    return bytes(cramjam.snappy.compress_raw(message))
