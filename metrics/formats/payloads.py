"""What an event may carry along."""

import json

from metrics.formats import text
from metrics.formats.documents import Doubled, Unusable

BYTES_MOST = 16_384
DEPTH_MOST = 8
_WHOLE_MOST = 2**63 - 1


def flaw(payload: dict[str, object]) -> str:
    """What keeps `payload` from being stored, or "" for nothing."""
    level: list[object] = [payload]
    for _ in range(DEPTH_MOST + 1):
        level, found = _inside(level)
        if found:
            return found
        if not level:
            return _size_flaw(payload)
    return f"is nested more than {DEPTH_MOST} deep"


def _inside(level: list[object]) -> tuple[list[object], str]:
    """The values one level further in, and the first thing wrong on this level."""
    deeper: list[object] = []
    for value in level:
        found = _value_flaw(value)
        if found:
            return [], found
        if isinstance(value, dict):
            deeper.extend(value.values())
        elif isinstance(value, list):
            deeper.extend(value)
    return deeper, ""


def _value_flaw(value: object) -> str:
    if isinstance(value, str):
        return _prefixed("a text", text.prose_flaw(value))
    if isinstance(value, Unusable):
        return value.why
    if isinstance(value, Doubled):
        return f"has the key {text.shown(value.key)!r} twice in one object"
    if isinstance(value, dict):
        return next((_prefixed("a key", text.prose_flaw(key)) for key in value if text.prose_flaw(key)), "")
    if isinstance(value, int) and abs(value) > _WHOLE_MOST:
        return "holds a whole number of more than 64 bits; send it as text"
    return ""


def _prefixed(what: str, found: str) -> str:
    return f"{what} in it {found}" if found else ""


def _size_flaw(payload: dict[str, object]) -> str:
    size = len(json.dumps(payload, ensure_ascii=False).encode())
    return "" if size <= BYTES_MOST else f"has {size} bytes; a payload holds at most {BYTES_MOST}"
