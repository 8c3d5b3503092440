"""Columns of numbers as PostgreSQL's own arrays, in its binary form: neither side writes or reads text for them."""

import struct
import sys
from array import array
from collections.abc import Iterable

_HEAD = struct.Struct("!iiIii")
"""How many dimensions, whether there are nulls, the kind of the elements, how many they are, and the first's number."""
_LENGTH = (8).to_bytes(4)
_INT8, _FLOAT8 = 20, 701
"""Object identifiers of the types, the same in every PostgreSQL."""


class Whole(bytes):
    """A bigint[], which the driver takes as a parameter."""


class Real(bytes):
    """A double precision[], likewise."""


def whole(numbers: Iterable[int]) -> Whole:
    """`numbers` as a bigint[]."""
    return Whole(_packed(array("q", numbers), _INT8))


def real(numbers: Iterable[float]) -> Real:
    """`numbers` as a double precision[]."""
    return Real(_packed(array("d", numbers), _FLOAT8))


def big_endian(column: "array[int] | array[float]") -> bytes:
    """What the column holds, in the order in which networks send bytes; the column may be another afterwards."""
    if sys.byteorder == "little":
        column.byteswap()
    return column.tobytes()


def lay(content: bytes, rows: bytearray, *, first: int, apart: int) -> None:
    """Put values of eight bytes into `rows`: the first at `first`, each next one `apart` from the one before.

    A byte of all values at once: there are eight steps, however many values.
    """
    for byte in range(8):
        rows[first + byte :: apart] = content[byte::8]


def _packed(column: "array[int] | array[float]", kind: int) -> bytes:
    count = len(column)
    rows = bytearray((_LENGTH + bytes(8)) * count)
    lay(big_endian(column), rows, first=len(_LENGTH), apart=12)
    return _HEAD.pack(min(count, 1), 0, kind, count, 1)[: 20 if count else 12] + rows
