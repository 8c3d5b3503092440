"""JSON read so that nothing in it is lost: odd numbers and double keys stay visible for whoever reports them."""

import json
import re

from metrics.formats.reading import Unreadable

DEPTH_MOST = 32
DOUBLE_KEYS_UP_TO_BYTES = 65_536
"""Looking for double keys costs time in Python, so in a larger body the last one wins."""
NUMBER_MOST = 32
"""Characters of a number; a double needs 24 at most."""

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DIGITS_ONLY = bytes(0x30 if byte in b"0123456789+-.eE" else 0x20 for byte in range(256))
_LONG_RUN = b"0" * (NUMBER_MOST + 1)


class Unusable:
    """A number that cannot be one; `why` says so."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


class Doubled(dict[str, object]):
    """An object in which a key stands twice."""

    key = ""


def read(body: bytes, *, find_double_keys: bool) -> object:
    """The document in `body`, with Unusable and Doubled where they belong; Unreadable (400) when it is not JSON."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"The body is not UTF-8 (byte {error.start}); send JSON in UTF-8.") from None
    if text.startswith("\ufeff"):
        raise Unreadable("The body begins with a byte order mark; send UTF-8 without one.")
    if text.strip(" \t\r\n") == "":
        raise Unreadable("The body is empty; send at least one reading.")
    refuse_depth(body)
    pairs = _object if find_double_keys else None
    try:
        return json.loads(
            text, parse_float=_number, parse_int=_number, parse_constant=_constant, object_pairs_hook=pairs
        )
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")  # some of Python's sentences end like that
        raise Unreadable(f"The body is not JSON: {what} at line {error.lineno}, column {error.colno}.") from None


def refuse_depth(body: bytes) -> None:
    """Unreadable when `body` nests deeper than any reading does; takes linear time and no recursion."""
    brackets = _STRINGS.sub(b"", body).translate(None, _ALL_BUT_BRACKETS)
    for _ in range(DEPTH_MOST):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets.count(b"[") + brackets.count(b"{") > DEPTH_MOST or _balanced_rest(brackets):
        raise Unreadable(f"The body is nested more than {DEPTH_MOST} deep; a reading needs 12.", code="too_deep")


def may_hold_long_number(body: bytes) -> bool:
    """A quick look for number literals that are too long; may be wrong about texts, never about numbers."""
    return _LONG_RUN in body.translate(_DIGITS_ONLY)


def holds_double_key(body: bytes) -> bool:
    """Whether a key stands twice in one object of `body`; True also for what cannot be read."""
    try:
        json.loads(body, object_pairs_hook=_refuse_double)
    except (_DoubleKey, ValueError, RecursionError):
        return True
    return False


class _DoubleKey(Exception):
    pass


def _refuse_double(pairs: list[tuple[str, object]]) -> None:
    if len(pairs) > 1 and len({key for key, _ in pairs}) != len(pairs):
        raise _DoubleKey


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled = Doubled(found)
    seen: set[str] = set()
    doubled.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return doubled


def _number(literal: str) -> float | int | Unusable:
    if len(literal) > NUMBER_MOST:
        return Unusable(f"is a number of {len(literal)} characters; send at most {NUMBER_MOST}")
    number = float(literal)
    if number in (float("inf"), float("-inf")):
        return Unusable("is a number out of range; at most about 1.8e308 fits")
    return number if any(mark in literal for mark in ".eE") else int(literal)


def _constant(literal: str) -> Unusable:
    return Unusable(f"is {literal}, which is not a number; leave the reading out when there is no value")


def _balanced_rest(brackets: bytes) -> bool:
    # What is left after DEPTH_MOST rounds closes again somewhere: it is a document that is too deep, not a broken one.
    return b"[]" in brackets or b"{}" in brackets
