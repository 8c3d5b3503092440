"""JSON as the standard has it, and nothing that only some readers accept."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec

from vigil.http import misfits
from vigil.kernel.errors import Invalid, VigilError, summary

DEEPEST = 32

LONGEST_NUMBER = 32

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""C0 and C1 controls, line separators, and what reverses the direction of reading."""

_TOO_DEEP = f"The body is nested deeper than {DEEPEST} levels."


class NotJson(VigilError):
    """The body is not what its content type says."""

    code = "malformed"
    status = 400


class _GivenTwice(ValueError):
    pass


def decode(body: bytes) -> Any:
    """The document as dicts, lists, texts, numbers, booleans and None.

    NotJson (400) for what is not JSON; Invalid (422) for NaN, NUL, lone surrogates, numbers too long or too large, or
    keys given twice.
    """
    _check_start(body)
    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_int=_int,
            parse_float=_float,
        )
    except UnicodeDecodeError as error:
        raise NotJson(f"The body is not UTF-8 (at byte {error.start}).") from error
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")  # some of Python's sentences end like that
        raise NotJson(f"The body is not JSON: {what} at line {error.lineno}, column {error.colno}.") from error
    except _GivenTwice as error:
        raise Invalid(str(error)) from error
    except RecursionError as error:
        raise NotJson(_TOO_DEEP) from error
    _check_content(document)
    return document


def decode_as[T](body: bytes, shape: type[T]) -> T:
    """The document as a msgspec shape; Invalid (422) names the place that does not fit."""
    return fit(decode(body), shape)


def fit[T](document: object, shape: type[T]) -> T:
    """A decoded document as a msgspec shape; Invalid (422) names the place that does not fit."""
    try:
        return msgspec.convert(document, shape)
    except msgspec.ValidationError as error:
        found = misfits.field_error(error, shape)
        raise Invalid(f"The body was not understood: {summary([found])}", errors=[found]) from error


def refuse_controls(document: Any) -> None:
    """Invalid (422) for texts that would act on a terminal or turn a line around; line breaks and tabs may stand."""
    for item, _ in _parts(document):
        found = _CONTROLS.search(item) if isinstance(item, str) else None
        if found is not None:
            raise Invalid(
                f"A text holds the control character U+{ord(found[0]):04X}; leave such characters out. "
                "Line breaks and tabs may stay."
            )


def _check_start(body: bytes) -> None:
    if not body.strip():
        raise NotJson("The body is empty; send a JSON document.")
    if body.startswith(b"\xef\xbb\xbf"):
        raise NotJson("The body begins with a byte order mark; send plain UTF-8.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _GivenTwice(f"The key {key!r} is given twice in one object.")
            seen.add(key)
    return found


def _no_constant(name: str) -> NoReturn:
    raise Invalid(f"{name} is not a number: numbers are finite.")


def _int(literal: str) -> int:
    return int(_short(literal))


def _float(literal: str) -> float:
    number = float(_short(literal))
    if not math.isfinite(number):
        raise Invalid(f"The number {literal} is too large.")
    return number


def _short(literal: str) -> str:
    if len(literal) > LONGEST_NUMBER:
        raise Invalid(f"A number of {len(literal)} characters is too long; {LONGEST_NUMBER} are enough for any.")
    return literal


def _check_content(document: Any) -> None:
    for item, depth in _parts(document):
        if isinstance(item, str):
            if "\x00" in item or any("\ud800" <= letter <= "\udfff" for letter in item):
                raise Invalid("A text holds a NUL byte or half a surrogate pair; neither can be stored.")
        elif isinstance(item, dict | list) and depth > DEEPEST:
            raise NotJson(_TOO_DEEP)


def _parts(document: Any) -> Iterator[tuple[Any, int]]:
    """Everything in the document, keys too, with its depth."""
    waiting: list[tuple[Any, int]] = [(document, 1)]
    while waiting:
        item, depth = waiting.pop()
        yield item, depth
        if isinstance(item, dict | list):
            inside = [*item.keys(), *item.values()] if isinstance(item, dict) else item
            waiting.extend((part, depth + 1) for part in inside)
