"""Bodies of Prometheus remote write 1.0, made before the time is taken."""

import struct
from collections.abc import Sequence

import cramjam

HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
_STEP_MILLISECONDS = 100


def requests(metric: str, hosts: Sequence[str], *, count: int, newest: float) -> list[bytes]:
    """So many requests, each with one sample of every host, a tenth of a second apart, the last at `newest` (epoch)."""
    first = int(newest * 1000) - count * _STEP_MILLISECONDS
    # Everything but the time is the same in each: six bytes, put in where the marker stands.
    marker = varint((1 << 42) - 1)
    template = b"".join(_series(metric, host, number, marker) for number, host in enumerate(hosts))
    parts = template.split(marker)
    moments = (varint(first + number * _STEP_MILLISECONDS) for number in range(count))
    return [bytes(cramjam.snappy.compress_raw(moment.join(parts))) for moment in moments]


def _series(metric: str, host: str, number: int, moment: bytes) -> bytes:
    labels = b"".join(
        field(1, field(1, name.encode()) + field(2, text.encode()))
        for name, text in (("__name__", metric), ("host", host))
    )
    return field(1, labels + field(2, b"\x09" + struct.pack("<d", 50 + number % 10) + b"\x10" + moment))


def field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    """A protobuf number."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
